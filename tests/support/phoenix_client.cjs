// SPDX-License-Identifier: Apache-2.0
//
// The reference client of Phoenix channels talks to fzportal: joins, is pushed to, is thrown out, comes back. Speaks the serializer
// 1.0.0, as the portal's peers do. Usage: phoenix_client.cjs FZPORTAL CONTROL URL TOKEN
"use strict";
const { execFileSync } = require("node:child_process");
const { Socket } = require("phoenix");
const WebSocket = require("ws");

const [fzportal, control, url, token] = process.argv.slice(2);
const HEARTBEAT_MS = 1000;

function fail(why) {
    console.error(`phoenix_client: FAIL: ${why}`);
    process.exit(1);
}

function expect(good, why) {
    if (!good)
        fail(why);
}

function ctl(...words) {
    return JSON.parse(execFileSync(fzportal, ["ctl", "--control", control, "--raw", ...words], { encoding: "utf8" }));
}

// The value of one event, or the end of the test: callback-style APIs as promises.
function once(what, register) {
    return new Promise((resolve) => {
        const timer = setTimeout(() => fail(`no ${what} within 10 s`), 10000);
        register((value) => {
            clearTimeout(timer);
            resolve(value);
        });
    });
}

function withHeaders(headers) {
    return class extends WebSocket {
        constructor(address, protocols) {
            super(address, protocols, { headers });
        }
    };
}

const userAgent = "Debian/12 headless-client/1.5.12 (x86_64; 6.1.0)";
// 1006: without a closing handshake.
const kicks = [
    [1012, "kick", "all=true"],
    [1000, "kick", "role=client", "code=1000"],
    [1006, "kick", "token=laptop", "how=drop"],
    [1012, "kick", "all=true", "how=crash"],
    [1006, "drop", "all=true", "reset=true"],
    [1006, "cut", "all=true"],
];

const params = {
    external_id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    name: "phoenix & friends + 1",
    public_key: Buffer.alloc(32, 0xfb).toString("base64"),
};

function open(bearer, endpoint = "/client/v2") {
    return new Socket(url + endpoint, {
        transport: withHeaders({ "X-Authorization": `Bearer ${bearer}`, "User-Agent": userAgent }),
        vsn: "1.0.0",
        params,
        encode: (message, done) => done(JSON.stringify(message)),
        decode: (text, done) => done(JSON.parse(text)),
        heartbeatIntervalMs: HEARTBEAT_MS,
        reconnectAfterMs: () => 50,
        rejoinAfterMs: () => 50,
    });
}

function refused(bearer) {
    return once("refusal", (done) => {
        const ws = new WebSocket(`${url}/client/v2/websocket?${new URLSearchParams(params)}`,
            { headers: { "X-Authorization": `Bearer ${bearer}`, "User-Agent": userAgent } });
        ws.on("error", () => {});
        ws.on("open", () => fail("a wrong token was let in"));
        ws.on("unexpected-response", (_, response) => {
            let body = "";
            response.on("data", (piece) => (body += piece));
            response.on("end", () => done({ status: response.statusCode, headers: response.headers, body: JSON.parse(body) }));
        });
    });
}

async function main() {
    const answer = await refused("wrong");
    expect(answer.status === 401, `status ${answer.status} for a wrong token`);
    expect(answer.headers["content-type"] === "application/problem+json; charset=utf-8", "another content type");
    expect(answer.body.code === "invalid_token" && answer.body.status === 401, JSON.stringify(answer.body));

    const socket = open(token);
    const heard = [];
    let heartbeats = 0;
    socket.onMessage((message) => {
        heartbeats += message.topic === "phoenix" && message.event === "phx_reply";
        heard.push(message);
    });
    socket.connect();

    const channel = socket.channel("client", {});
    const inits = [];
    const waiting = [];
    channel.on("init", (payload) => {
        inits.push(payload);
        waiting.splice(0).forEach((done) => done(payload));
    });
    let init = once("init", (done) => waiting.push(done));
    await once("ok for the join", (done) => channel.join().receive("ok", done).receive("error", (e) => fail(JSON.stringify(e))));
    const first = await init;
    expect(first.interface && first.interface.ipv4 && first.interface.ipv6, `init: ${JSON.stringify(first)}`);
    expect(Array.isArray(first.resources), "init without resources");

    // Server pushes have a null ref, and replies that of the message.
    expect(heard.every((m) => Object.keys(m).sort().join() === "event,payload,ref,topic"), "a message with other keys");
    expect(heard.find((m) => m.event === "init").ref === null, "init with a ref");

    // A message that is answered with a push, and one that nobody knows.
    const relays = once("relays_presence", (done) => channel.on("relays_presence", done));
    channel.push("no_relays", {});
    await relays;
    const error = await once("reply to nonsense", (done) =>
        channel.push("nonsense", {}).receive("error", done).receive("ok", () => fail("nonsense is ok")));
    expect(error.reason === "unknown_message", JSON.stringify(error));

    // Another topic.
    const other = await once("reply to a wrong topic", (done) =>
        socket.channel("gateway", {}).join().receive("error", done).receive("ok", () => fail("gateway joined")));
    expect(other.reason === "unmatched topic", JSON.stringify(other));
    socket.channels.filter((c) => c.topic === "gateway").forEach((c) => socket.remove(c));

    await once("answers to two heartbeats", (done) => socket.onMessage(() => heartbeats >= 2 && done()));

    // Thrown out in every way; the client connects and joins again by itself.
    for (const [code, ...words] of kicks) {
        init = once(`init after ${words.join(" ")}`, (done) => waiting.push(done));
        const closed = once(`close after ${words.join(" ")}`, (done) => {
            const ref = socket.onClose((event) => {
                socket.off([ref]);
                done(event);
            });
        });
        expect(ctl(...words).ok === true, `ctl ${words.join(" ")}`);
        const event = await closed;
        expect(event.code === code, `${words.join(" ")}: closed with ${event.code}`);
        const again = await init;
        expect(again.interface.ipv4 === first.interface.ipv4, "another address after coming back");
    }

    // Half open: nothing is answered, and later all of it is.
    expect(ctl("freeze", "all=true").sessions === 1, "freeze");
    let late = 0;
    channel.push("nonsense", {}).receive("error", () => late++);
    await new Promise((done) => setTimeout(done, 100));
    expect(late === 0, "answered while frozen");
    expect(ctl("thaw", "all=true").sessions === 1, "thaw");
    await once("late answer", (done) => channel.push("nonsense", {}).receive("error", done));
    expect(late === 1, "what was sent while frozen is not answered");

    // The link is down: connects are refused until it is up again.
    init = once("init after the link was down", (done) => waiting.push(done));
    const refusal = once("refused connect", (done) => socket.onError((e) => e.message && e.message.includes("ECONNREFUSED") && done()));
    ctl("stop");
    await refusal;
    expect(!socket.isConnected(), "connected while the link is down");
    ctl("start");
    await init;

    await once("ok for the leave", (done) => channel.leave().receive("ok", done));
    await once("end", (done) => socket.disconnect(done));
    console.log(`joined ${inits.length} times, ${heartbeats} heartbeats`);
    process.exit(0);
}

main().catch((e) => fail(e.stack));
