// apiclient [resources] URL KEY: the official service's client library, unmodified, against a server that has one node
// ("alpha") and one user. Each line says what was tried; the first that is not as it must be ends it with 1. `resources`
// makes the calls of the Terraform provider, resource by resource, and leaves behind what the other run begins with.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"time"

	tailscale "tailscale.com/client/tailscale/v2"
)

func must(what string, ok bool, details ...any) {
	if !ok {
		fmt.Println("not ok", what, details)
		os.Exit(1)
	}
	fmt.Println("ok", what)
}

func good(what string, err error) { must(what, err == nil, err) }

func devices(ctx context.Context, c *tailscale.Client) {
	list, err := c.Devices().ListWithAllFields(ctx)
	good("devices", err)
	must("one device", len(list) == 1 && list[0].Hostname == "alpha" && list[0].Authorized, list)
	id := list[0].NodeID
	one, err := c.Devices().Get(ctx, id)
	good("device", err)
	must("the same device", one.ID == list[0].ID && one.NodeKey == list[0].NodeKey && len(one.Addresses) == 2, one)
	must("it is connected", one.ConnectedToControl && one.LastSeen == nil, one)
	good("authorized", c.Devices().SetAuthorized(ctx, id, true))
	good("name", c.Devices().SetName(ctx, id, "renamed"))
	good("key expiry off", c.Devices().SetKey(ctx, id, tailscale.DeviceKey{KeyExpiryDisabled: true}))
	good("routes", c.Devices().SetSubnetRoutes(ctx, id, []string{"10.9.0.0/16"}))
	routes, err := c.Devices().SubnetRoutes(ctx, id)
	good("routes are read", err)
	must("routes", reflect.DeepEqual(routes.Enabled, []string{"10.9.0.0/16"}), routes)
	good("address", c.Devices().SetIPv4Address(ctx, id, "100.64.77.7"))
	good("tags", c.Devices().SetTags(ctx, id, []string{"tag:web"}))
	one, err = c.Devices().GetWithAllFields(ctx, one.ID)
	good("device, by its other id", err)
	must("all of it holds", one.Addresses[0] == "100.64.77.7" && one.Tags[0] == "tag:web" && one.KeyExpiryDisabled &&
		one.EnabledRoutes[0] == "10.9.0.0/16", one)
	_, err = c.Devices().Get(ctx, "n999")
	must("none is none", tailscale.IsNotFound(err), err)
	must("a wrong tag is refused", c.Devices().SetTags(ctx, id, []string{"web"}) != nil)
}

func dns(ctx context.Context, c *tailscale.Client) {
	good("nameservers", c.DNS().SetNameservers(ctx, []string{"192.0.2.53", "https://dns.example/dns-query"}))
	servers, err := c.DNS().Nameservers(ctx)
	good("nameservers are read", err)
	must("nameservers", reflect.DeepEqual(servers, []string{"192.0.2.53", "https://dns.example/dns-query"}), servers)
	must("a wrong one is refused", c.DNS().SetNameservers(ctx, []string{"not a server"}) != nil)
	good("search paths", c.DNS().SetSearchPaths(ctx, []string{"corp.example"}))
	paths, err := c.DNS().SearchPaths(ctx)
	good("search paths are read", err)
	must("search paths", reflect.DeepEqual(paths, []string{"corp.example"}), paths)
	good("split", c.DNS().SetSplitDNS(ctx, tailscale.SplitDNSRequest{"a.example": {"192.0.2.1"}, "b.example": {"192.0.2.2"}}))
	split, err := c.DNS().UpdateSplitDNS(ctx, tailscale.SplitDNSRequest{"a.example": {}, "c.example": {"192.0.2.3"}})
	good("split is changed", err)
	must("split", reflect.DeepEqual(split, tailscale.SplitDNSResponse{"b.example": {"192.0.2.2"}, "c.example": {"192.0.2.3"}}), split)
	good("preferences", c.DNS().SetPreferences(ctx, tailscale.DNSPreferences{MagicDNS: false}))
	p, err := c.DNS().Preferences(ctx)
	good("preferences are read", err)
	must("MagicDNS is off", !p.MagicDNS)
	whole := tailscale.DNSConfiguration{Nameservers: []tailscale.DNSConfigurationResolver{{Address: "192.0.2.54"}},
		SplitDNS:    map[string][]tailscale.DNSConfigurationResolver{"d.example": {{Address: "192.0.2.4"}}},
		SearchPaths: []string{"x.example"},
		Preferences: tailscale.DNSConfigurationPreferences{OverrideLocalDNS: true, MagicDNS: true}}
	good("configuration", c.DNS().SetConfiguration(ctx, whole))
	got, err := c.DNS().Configuration(ctx)
	good("configuration is read", err)
	must("configuration", reflect.DeepEqual(*got, whole), got)
}

func rules(ctx context.Context, c *tailscale.Client) {
	acl, err := c.PolicyFile().Get(ctx)
	good("rules", err)
	must("with a tag", acl.ETag != "" && len(acl.ACLs) == 1, acl)
	text := "{\n  // some\n  \"tagOwners\": {\"tag:web\": [], \"tag:db\": []},\n  \"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:443\"]}],\n}"
	good("rules are tried", c.PolicyFile().Validate(ctx, text))
	must("wrong ones are told", c.PolicyFile().Validate(ctx, "{\"acls\": [{}]}") != nil)
	good("rules are set", c.PolicyFile().Set(ctx, text, acl.ETag))
	raw, err := c.PolicyFile().Raw(ctx)
	good("rules as text", err)
	must("with their comments", raw.HuJSON == text && raw.ETag != acl.ETag, raw)
	must("with an old tag they are refused", c.PolicyFile().Set(ctx, text+"\n", acl.ETag) != nil)
	now, err := c.PolicyFile().Get(ctx)
	good("rules", err)
	must("as they were set", now.ACLs[0].Destination[0] == "*:443", now)
	now.ACLs[0].Destination[0] = "*:*"
	again, err := c.PolicyFile().SetAndGet(ctx, *now, now.ETag)
	good("rules are set as a struct", err)
	must("and are so", again.ACLs[0].Destination[0] == "*:*" && again.ETag != now.ETag, again)
	must("a test that fails is told", c.PolicyFile().Validate(ctx,
		[]tailscale.ACLTest{{Source: "main@", Deny: []string{"192.0.2.1:22"}}}) != nil)
}

func keys(ctx context.Context, c *tailscale.Client) (id, secret string) {
	var ask tailscale.CreateKeyRequest
	ask.Capabilities.Devices.Create.Reusable = true
	ask.Capabilities.Devices.Create.Tags = []string{"tag:web"}
	ask.ExpirySeconds = 600
	ask.Description = "of a test"
	key, err := c.Keys().CreateAuthKey(ctx, ask)
	good("auth key", err)
	must("it is as wanted", key.Key != "" && key.KeyType == "auth" && key.Capabilities.Devices.Create.Reusable &&
		key.Description == "of a test" && time.Until(key.Expires) < 11*time.Minute, key)
	again, err := c.Keys().Get(ctx, key.ID)
	good("auth key is read", err)
	must("without its secret", again.Key == "" && again.Description == key.Description && !again.Invalid, again)
	good("auth key is deleted", c.Keys().Delete(ctx, key.ID))
	_, err = c.Keys().Get(ctx, key.ID)
	must("it is gone", tailscale.IsNotFound(err), err)
	client, err := c.Keys().CreateOAuthClient(ctx, tailscale.CreateOAuthClientRequest{
		Scopes: []string{"devices:core:read", "dns", "auth_keys"}, Tags: []string{"tag:web"}, Description: "a client"})
	good("OAuth client", err)
	must("it has a secret", client.Key != "" && client.KeyType == "client" && len(client.Scopes) == 3, client)
	list, err := c.Keys().List(ctx, true)
	good("keys", err)
	must("all keys", len(list) == 3, list) // of the node, ours, and the client
	return client.ID, client.Key
}

func oauth(ctx context.Context, c *tailscale.Client, base *url.URL, id, secret string) {
	t := &tailscale.Client{BaseURL: base, Tailnet: "-", Auth: &tailscale.OAuth{ClientID: id, ClientSecret: secret}}
	_, err := t.Devices().List(ctx)
	good("a token reads devices", err)
	must("and changes none", t.Devices().SetName(ctx, "n1", "x") != nil)
	good("it sets DNS", t.DNS().SetSearchPaths(ctx, []string{"y.example"}))
	_, err = t.Users().List(ctx, nil, nil)
	must("and sees no users", err != nil)
	var ask tailscale.CreateKeyRequest
	ask.Capabilities.Devices.Create.Tags = []string{"tag:web"}
	_, err = t.Keys().CreateAuthKey(ctx, ask)
	good("it makes keys with its tags", err)
	ask.Capabilities.Devices.Create.Tags = []string{"tag:db"}
	_, err = t.Keys().CreateAuthKey(ctx, ask)
	must("and with no others", err != nil)
	narrow := &tailscale.Client{BaseURL: base, Tailnet: "-",
		Auth: &tailscale.OAuth{ClientID: id, ClientSecret: secret, Scopes: []string{"dns:read"}}}
	_, err = narrow.DNS().SearchPaths(ctx)
	good("a token for less reads DNS", err)
	must("and sets none", narrow.DNS().SetSearchPaths(ctx, nil) != nil)
	wrong := &tailscale.Client{BaseURL: base, Tailnet: "-", Auth: &tailscale.OAuth{ClientID: id, ClientSecret: secret + "x"}}
	_, err = wrong.Devices().List(ctx)
	must("another secret gets none", err != nil)
	good("the client is deleted", c.Keys().Delete(ctx, id))
	_, err = t.Devices().List(ctx)
	must("and its tokens end", err != nil)
}

func rest(ctx context.Context, c *tailscale.Client) {
	users, err := c.Users().List(ctx, nil, nil)
	good("users", err)
	must("one user", len(users) == 1 && users[0].LoginName == "main", users)
	_, err = c.Users().Get(ctx, users[0].ID)
	good("user", err)
	s, err := c.TailnetSettings().Get(ctx)
	good("settings", err)
	days := s.DevicesKeyDurationDays
	good("settings as they are", c.TailnetSettings().Update(ctx, tailscale.UpdateTailnetSettingsRequest{DevicesKeyDurationDays: &days}))
	on := true
	must("others are refused", c.TailnetSettings().Update(ctx, tailscale.UpdateTailnetSettingsRequest{NetworkFlowLoggingOn: &on}) != nil)
	_, err = c.Webhooks().List(ctx)
	must("webhooks are not there", err != nil)
	good("the device is deleted", c.Devices().Delete(ctx, "n1"))
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := os.Args[1:]
	described := args[0] == "resources"
	if described {
		args = args[1:]
	}
	base, err := url.Parse(args[0])
	good("address", err)
	c := &tailscale.Client{BaseURL: base, APIKey: args[1], Tailnet: "-"}
	if described {
		resources(ctx, c)
		fmt.Println("all ok")
		return
	}
	rules(ctx, c)
	devices(ctx, c)
	dns(ctx, c)
	id, secret := keys(ctx, c)
	oauth(ctx, c, base, id, secret)
	rest(ctx, c)
	fmt.Println("all ok")
}
