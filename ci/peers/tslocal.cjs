#!/usr/bin/env node
// status SOCKET: the daemon's status as the npm package tslocal understands it.
const { Client } = require(__dirname + "/node_modules/tslocal");

async function main() {
	const s = await new Client({ socketPath: process.argv[2], useSocketOnly: true }).status();
	const peers = Object.values(s.Peer ?? s.peer ?? {});
	console.log(JSON.stringify({ state: s.BackendState ?? s.backendState, peers: peers.map((p) => p.HostName ?? p.hostName) }));
}
main().then(() => process.exit(0), (e) => {
	console.error(String(e));
	process.exit(1);
});
