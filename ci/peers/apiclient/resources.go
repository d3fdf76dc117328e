package main

import (
	"context"
	"fmt"
	"reflect"
	"sort"
	"strings"

	tailscale "tailscale.com/client/tailscale/v2"
)

// A resource as the Terraform provider has it, by the calls that it makes of this library for each: made, read, changed,
// read, given up. What it reads has to be what was described, else each plan would change it again.
type resource struct {
	name           string
	create, update func() error
	read           func() (any, error)
	first, second  any
	destroy        func() error
	gone           func() bool
}

// As a second run of it would find them: nothing to do.
func (r *resource) settled(when string, want any) {
	for range 2 {
		got, err := r.read()
		good(r.name+" is read "+when, err)
		must(r.name+": nothing drifts "+when, reflect.DeepEqual(got, want), fmt.Sprintf("%+v, not %+v", got, want))
	}
}

func (r *resource) walk() {
	good(r.name+" is created", r.create())
	r.settled("after it was created", r.first)
	if r.update != nil {
		good(r.name+" is changed", r.update())
		r.settled("after a change", r.second)
	}
	good(r.name+" is destroyed", r.destroy())
	must(r.name+" is gone", r.gone == nil || r.gone())
}

// A set, as the provider compares it.
func set(v []string) string {
	v = append([]string{}, v...)
	sort.Strings(v)
	return strings.Join(v, " ")
}

func deviceResources(ctx context.Context, c *tailscale.Client) []resource {
	list, err := c.Devices().List(ctx, tailscale.WithFilter("hostname", []string{"alpha"}))
	good("the data source device", err)
	must("device", len(list) == 1 && list[0].Name != "" && !list[0].Created.IsZero(), list)
	none, err := c.Devices().List(ctx, tailscale.WithFilter("hostname", []string{"beta"}))
	must("a filter leaves out", err == nil && len(none) == 0, err, none)
	d, id := c.Devices(), list[0].NodeID
	nothing := func() error { return nil }
	device := func() *tailscale.Device {
		one, err := d.Get(ctx, id)
		good("device", err)
		must("it goes by the id that it was asked by", one.NodeID == id, one)
		return one
	}
	routes := func(r ...string) func() error { return func() error { return d.SetSubnetRoutes(ctx, id, r) } }
	enabled := func() (any, error) {
		r, err := d.SubnetRoutes(ctx, id)
		if err != nil {
			return nil, err
		}
		return set(r.Enabled), nil
	}
	tags := func(t ...string) func() error { return func() error { return d.SetTags(ctx, id, t) } }
	key := func(off bool) func() error {
		return func() error { return d.SetKey(ctx, id, tailscale.DeviceKey{KeyExpiryDisabled: off}) }
	}
	return []resource{
		{name: "device_authorization", create: func() error { return d.SetAuthorized(ctx, id, true) },
			read: func() (any, error) { return device().Authorized, nil }, first: true, destroy: nothing},
		{name: "device_subnet_routes", create: routes("10.1.0.0/16"), update: routes("10.2.0.0/16", "fd00:2::/64", "0.0.0.0/0", "::/0"),
			read: enabled, first: "10.1.0.0/16", second: set([]string{"10.2.0.0/16", "fd00:2::/64", "0.0.0.0/0", "::/0"}),
			destroy: routes([]string{}...), gone: func() bool { v, err := enabled(); return err == nil && v == "" }},
		// The server's settings have no lifetime for logins, so that one which is to end again does not.
		{name: "device_key", create: key(true),
			read: func() (any, error) { return device().KeyExpiryDisabled, nil }, first: true, destroy: key(false)},
		// A machine that has tags is nobody's, here as there: it keeps one.
		{name: "device_tags", create: tags("tag:web"), update: tags("tag:db", "tag:web"),
			read: func() (any, error) { return set(device().Tags), nil }, first: "tag:web", second: "tag:db tag:web",
			destroy: func() error {
				must("the last tag cannot be taken", tags([]string{}...)() != nil)
				return nil
			}},
	}
}

func dnsResources(ctx context.Context, c *tailscale.Client) []resource {
	d := c.DNS()
	servers := func(s ...string) func() error { return func() error { return d.SetNameservers(ctx, s) } }
	paths := func(s ...string) func() error { return func() error { return d.SetSearchPaths(ctx, s) } }
	magic := func(on bool) func() error {
		return func() error { return d.SetPreferences(ctx, tailscale.DNSPreferences{MagicDNS: on}) }
	}
	split := func(s ...string) func() error {
		return func() error {
			_, err := d.UpdateSplitDNS(ctx, tailscale.SplitDNSRequest{"corp.example": s})
			return err
		}
	}
	splitNow := func() (any, error) {
		all, err := d.SplitDNS(ctx)
		return set(all["corp.example"]), err
	}
	whole := func(w tailscale.DNSConfiguration) func() error {
		return func() error { return d.SetConfiguration(ctx, w) }
	}
	wholeNow := func() (any, error) {
		w, err := d.Configuration(ctx)
		if err != nil {
			return nil, err
		}
		return *w, nil
	}
	// The provider's own defaults, and all that it can say.
	least := tailscale.DNSConfiguration{Nameservers: []tailscale.DNSConfigurationResolver{},
		SplitDNS: map[string][]tailscale.DNSConfigurationResolver{}, SearchPaths: []string{},
		Preferences: tailscale.DNSConfigurationPreferences{MagicDNS: true}}
	most := tailscale.DNSConfiguration{
		Nameservers: []tailscale.DNSConfigurationResolver{{Address: "192.0.2.1", UseWithExitNode: true}, {Address: "192.0.2.2"}},
		SplitDNS:    map[string][]tailscale.DNSConfigurationResolver{"corp.example": {{Address: "192.0.2.3", UseWithExitNode: true}}},
		SearchPaths: []string{"corp.example"},
		Preferences: tailscale.DNSConfigurationPreferences{MagicDNS: true, OverrideLocalDNS: true}}
	// A server that is named by its address alone stays as it was, and in its place.
	byName := most
	byName.Nameservers = []tailscale.DNSConfigurationResolver{{Address: "192.0.2.2"}, {Address: "192.0.2.9"}, {Address: "192.0.2.1", UseWithExitNode: true}}
	byName.SplitDNS = map[string][]tailscale.DNSConfigurationResolver{"corp.example": {{Address: "192.0.2.4"}, {Address: "192.0.2.3", UseWithExitNode: true}}}
	names := func() error {
		if err := servers("192.0.2.2", "192.0.2.9", "192.0.2.1")(); err != nil {
			return err
		}
		return split("192.0.2.4", "192.0.2.3")()
	}
	return []resource{
		{name: "servers that are used with an exit node", create: whole(most), update: names, read: wholeNow, first: most, second: byName,
			destroy: whole(least)},
		{name: "dns_nameservers", create: servers("192.0.2.53"), update: servers("192.0.2.54", "2001:db8::53"),
			read: func() (any, error) { return d.Nameservers(ctx) }, first: []string{"192.0.2.53"}, second: []string{"192.0.2.54", "2001:db8::53"},
			destroy: servers([]string{}...)},
		{name: "dns_search_paths", create: paths("a.example"), update: paths("b.example", "a.example"),
			read: func() (any, error) { return d.SearchPaths(ctx) }, first: []string{"a.example"}, second: []string{"b.example", "a.example"},
			destroy: paths([]string{}...)},
		{name: "dns_preferences", create: magic(false), update: magic(true),
			read: func() (any, error) {
				p, err := d.Preferences(ctx)
				if err != nil {
					return nil, err
				}
				return p.MagicDNS, nil
			}, first: false, second: true, destroy: magic(true)},
		{name: "dns_split_nameservers", create: split("192.0.2.1"), update: split("192.0.2.2", "192.0.2.3"),
			read: splitNow, first: "192.0.2.1", second: "192.0.2.2 192.0.2.3",
			destroy: split([]string{}...), gone: func() bool { v, err := splitNow(); return err == nil && v == "" }},
		{name: "dns_configuration", create: whole(least), update: whole(most), read: wholeNow, first: least, second: most,
			destroy: whole(tailscale.DNSConfiguration{})},
		{name: "dns_configuration, the other way round", create: whole(most), update: whole(least), read: wholeNow, first: most, second: least,
			destroy: magic(true)},
	}
}

func ruleResources(ctx context.Context, c *tailscale.Client) []resource {
	p := c.PolicyFile()
	first := "{\n  // what may be reached\n  \"tagOwners\": {\"tag:web\": [], \"tag:db\": []},\n" +
		"  \"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:22\"]}],\n}\n"
	second := strings.Replace(first, "*:22", "*:443", 1)
	rules := func(text, etag string) func() error { return func() error { return p.Set(ctx, text, etag) } }
	read := func() (any, error) {
		raw, err := p.Raw(ctx)
		if err != nil {
			return nil, err
		}
		return raw.HuJSON, nil
	}
	return []resource{
		{name: "acl", create: rules(first, "ts-default"), update: rules(second, ""), read: read, first: first, second: second,
			destroy: rules("", "")},
		{name: "acl, again", create: rules(first, "ts-default"), read: read, first: first, destroy: func() error {
			err := rules(second, "ts-default")()
			must("what is there is not written over", err != nil && strings.HasSuffix(err.Error(), "(412)"), err)
			return nil
		}},
	}
}

func keyResources(ctx context.Context, c *tailscale.Client) []resource {
	k := c.Keys()
	var auth, client *tailscale.Key
	gone := func(key **tailscale.Key) func() bool {
		return func() bool { _, err := k.Get(ctx, (*key).ID); return tailscale.IsNotFound(err) }
	}
	of := func(key **tailscale.Key) func() (any, error) {
		return func() (any, error) {
			now, err := k.Get(ctx, (*key).ID)
			if err != nil {
				return nil, err
			}
			create := now.Capabilities.Devices.Create
			return []any{now.ID == (*key).ID, now.Description, create.Reusable, create.Ephemeral, create.Preauthorized, now.Invalid,
				now.Created.Equal((*key).Created), now.Expires.Equal((*key).Expires), set(now.Scopes), set(now.Tags)}, nil
		}
	}
	// A change of one makes another in its place.
	key := func(yes bool) func() error {
		return func() (err error) {
			var ask tailscale.CreateKeyRequest
			may := &ask.Capabilities.Devices.Create
			may.Reusable, may.Ephemeral, may.Preauthorized, may.Tags = yes, yes, yes, []string{"tag:web"}
			ask.ExpirySeconds = 3600
			ask.Description = "by a plan"
			auth, err = k.CreateAuthKey(ctx, ask)
			return err
		}
	}
	isKey := func(yes bool) []any { return []any{true, "by a plan", yes, yes, yes, false, true, true, "", "tag:web"} }
	end := func() error { return k.Delete(ctx, auth.ID) }
	return []resource{
		{name: "tailnet_key", create: key(true), read: of(&auth), first: isKey(true), destroy: end, gone: gone(&auth)},
		{name: "tailnet_key, with less", create: key(false), read: of(&auth), first: isKey(false), destroy: end, gone: gone(&auth)},
		{name: "oauth_client", create: func() (err error) {
			client, err = k.CreateOAuthClient(ctx, tailscale.CreateOAuthClientRequest{
				Scopes: []string{"dns", "devices:core:read"}, Tags: []string{"tag:web"}, Description: "one"})
			return err
		}, update: func() error {
			now, err := k.SetOAuthClient(ctx, client.ID, tailscale.SetOAuthClientRequest{
				Scopes: []string{"dns:read"}, Tags: []string{"tag:db"}, Description: "two"})
			if err == nil && (now.ID != client.ID || now.Key != "" || now.Updated.Before(client.Created)) {
				err = fmt.Errorf("it is another: %+v", now)
			}
			return err
		}, read: of(&client), first: []any{true, "one", false, false, false, false, true, true, "devices:core:read dns", "tag:web"},
			second:  []any{true, "two", false, false, false, false, true, true, "dns:read", "tag:db"},
			destroy: func() error { return k.Delete(ctx, client.ID) }, gone: gone(&client)},
	}
}

func settingResources(ctx context.Context, c *tailscale.Client) []resource {
	off, s := false, c.TailnetSettings()
	now, err := s.Get(ctx)
	good("settings", err)
	days := now.DevicesKeyDurationDays
	return []resource{{name: "tailnet_settings", create: func() error {
		return s.Update(ctx, tailscale.UpdateTailnetSettingsRequest{DevicesKeyDurationDays: &days, DevicesApprovalOn: &off})
	}, read: func() (any, error) { return s.Get(ctx) }, first: now, destroy: func() error { return nil }}}
}

func resources(ctx context.Context, c *tailscale.Client) {
	anyType, anyRole := tailscale.UserType(""), tailscale.UserRole("") // as the provider sends what is not asked for
	users, err := c.Users().List(ctx, &anyType, &anyRole)
	good("the data source users", err)
	must("a user", len(users) == 1 && users[0].LoginName == "main" && !users[0].Created.IsZero(), users)
	var all []resource
	all = append(all, ruleResources(ctx, c)...)
	all = append(all, deviceResources(ctx, c)...)
	all = append(all, dnsResources(ctx, c)...)
	all = append(all, keyResources(ctx, c)...)
	all = append(all, settingResources(ctx, c)...)
	for i := range all {
		all[i].walk()
	}
	good("the rules are given up", c.PolicyFile().Set(ctx, "", ""))
}
