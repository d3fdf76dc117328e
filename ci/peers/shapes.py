#!/usr/bin/env python3
"""shapes record URL KEY WORD FILE: makes the calls of a REST client of Headscale, and keeps what is answered; WORD makes
names of this run. The server has a node with number 1.
shapes compare THEIRS OURS: whatever theirs has, ours must have: members, types, and whether it went well."""
import json
import sys
import urllib.error
import urllib.request

def calls(word):
	later = "2100-01-01T00:00:00Z"
	yield "health", "GET", "health", None
	yield "user made", "POST", "user", {"name": word, "displayName": "D", "email": "e@x.test", "pictureUrl": ""}
	yield "user again", "POST", "user", {"name": word}
	yield "users", "GET", "user", None
	yield "users by name", "GET", "user?name=" + word, None
	yield "user renamed", "POST", "user/{user made.user.id}/rename/%s2" % word, None
	yield "auth key made", "POST", "preauthkey", {"user": "{user made.user.id}", "reusable": True, "ephemeral": False, "expiration": later, "aclTags": []}
	yield "auth keys", "GET", "preauthkey", None
	yield "auth key expired", "POST", "preauthkey/expire", {"id": "{auth key made.preAuthKey.id}"}
	yield "auth key deleted", "DELETE", "preauthkey?id={auth key made.preAuthKey.id}", None
	yield "API key made", "POST", "apikey", {"expiration": later}
	yield "API keys", "GET", "apikey", None
	yield "API key without a name expired", "POST", "apikey/expire", {}
	yield "nodes", "GET", "node", None
	yield "nodes of one", "GET", "node?user=main", None
	yield "node", "GET", "node/1", None
	yield "no node", "GET", "node/999", None
	yield "node renamed", "POST", "node/1/rename/" + word, None
	yield "node renamed wrongly", "POST", "node/1/rename/%20", None
	yield "routes", "POST", "node/1/approve_routes", {"routes": ["10.0.0.0/8"]}
	yield "node expires", "POST", "node/1/expire?expiry=" + later, None
	yield "no tags", "POST", "node/1/tags", {"tags": []}
	yield "backfill", "POST", "node/backfillips?confirmed=true", None
	yield "no registration", "POST", "node/register?user=main&key=" + "A" * 24, None
	yield "user deleted", "DELETE", "user/{user made.user.id}", None
	yield "no user deleted", "DELETE", "user/999", None

def filled(value, answers):
	"""{call.member.member}: what a call before was answered."""
	if isinstance(value, dict):
		return {k: filled(v, answers) for k, v in value.items()}
	if not isinstance(value, str) or "{" not in value:
		return value
	head, rest = value.split("{", 1)
	path, tail = rest.split("}", 1)
	name, *members = path.split(".")
	at = answers[name]["body"]
	for m in members:
		at = at[m]
	return head + at + tail

def record(url, key, word, file):
	answers = {}
	for name, method, path, body in calls(word):
		data = None if body is None else json.dumps(filled(body, answers)).encode()
		rq = urllib.request.Request(url + "/api/v1/" + filled(path, answers), data, method=method,
			headers={"Authorization": "Bearer " + key})
		try:
			with urllib.request.urlopen(rq) as r:
				status, text = r.status, r.read()
		except urllib.error.HTTPError as e:
			status, text = e.code, e.read()
		answers[name] = {"status": status, "body": json.loads(text)}
	with open(file, "w") as f:
		json.dump(answers, f, indent=1)

def lacks(theirs, ours, at):
	if theirs is None or ours is None:
		return []
	if type(theirs) is not type(ours):
		return ["%s: theirs is %s, ours %s" % (at, theirs, ours)]
	if isinstance(theirs, dict):
		missing = ["%s.%s is not there" % (at, k) for k in theirs if k not in ours]
		return missing + [x for k in theirs if k in ours for x in lacks(theirs[k], ours[k], "%s.%s" % (at, k))]
	if isinstance(theirs, list) and theirs and ours:
		return lacks(theirs[0], ours[0], at + "[0]")
	return []

def compare(theirs, ours):
	with open(theirs) as a, open(ours) as b:
		theirs, ours = json.load(a), json.load(b)
	wrong = []
	for name in theirs:
		if (theirs[name]["status"] < 400) != (ours[name]["status"] < 400):
			wrong.append("%s: theirs %s, ours %s" % (name, theirs[name], ours[name]))
		else:
			wrong += lacks(theirs[name]["body"], ours[name]["body"], name)
	print("\n".join(wrong) or "all %d alike" % len(theirs))
	return 1 if wrong else 0

if sys.argv[1] == "record":
	record(*sys.argv[2:6])
else:
	sys.exit(compare(*sys.argv[2:4]))
