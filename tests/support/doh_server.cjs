// SPDX-License-Identifier: Apache-2.0
//
// A DoH server by node's HTTP/2. The first label of a name says what it does with the query; else it answers 192.0.2.53. Each session
// is one line on standard output, and each fault of a client. Usage: doh_server.cjs ADDRESS PORT CERTIFICATE KEY
"use strict";
const fs = require("node:fs");
const http2 = require("node:http2");

const [address, port, certificate, key] = process.argv.slice(2);
const { NGHTTP2_REFUSED_STREAM } = http2.constants;
const MEDIA_TYPE = "application/dns-message";
let refused = false, left = false;

function answer(query) {
    let end = 12;
    while (query[end] !== 0)
        end += 1 + query[end];
    const head = Buffer.from([0, 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    query.copy(head, 0, 0, 2);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53]);
    return Buffer.concat([head, query.subarray(12, end + 5), record]);
}

function wrong(what) {
    console.log(`wrong ${what}`);
}

function take(headers) {
    const [path, text] = headers[":path"].split("?dns=");
    if (headers[":method"] !== "GET" || headers[":scheme"] !== "https" || path !== "/dns-query" || headers.accept !== MEDIA_TYPE ||
        (headers[":authority"] ?? headers.host) !== `doh.test:${port}` || !/^[-_0-9A-Za-z]+$/.test(text))
        wrong(JSON.stringify(headers));
    const query = Buffer.from(text, "base64url");
    if (query.readUInt16BE(0) !== 0)
        wrong("id");
    return query;
}

function slowly(stream, bytes, at) {
    if (at === bytes.length)
        stream.end();
    else
        stream.write(bytes.subarray(at, at + 1), () => setTimeout(slowly, 1, stream, bytes, at + 1));
}

function serve(stream, headers) {
    const query = take(headers), label = query.toString("latin1", 13, 13 + query[12]), bytes = answer(query);
    const ok = { ":status": 200, "content-type": MEDIA_TYPE, "cache-control": "max-age=60", "x-query": label };

    stream.on("error", () => {});
    switch (label) {
    case "refuse": // the first one
        if (!refused) {
            refused = true;
            stream.close(NGHTTP2_REFUSED_STREAM);
            return;
        }
        break;
    case "leave": // the first one, in good order
        if (!left) {
            left = true;
            stream.session.close();
            stream.session.goaway(0, 1);
            return;
        }
        break;
    case "empty":
        stream.respond(ok, { endStream: true });
        return;
    case "late":
        setTimeout(() => !stream.destroyed && stream.respond(ok) === undefined && stream.end(bytes), 5500);
        return;
    case "bytewise":
        stream.respond(ok);
        slowly(stream, bytes, 0);
        return;
    case "trailers":
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "yes" }));
        stream.respond(ok, { waitForTrailers: true });
        stream.end(bytes);
        return;
    case "headers":
        for (let i = 0; i < 20; i++)
            ok[`x-header-${i}`] = `${i} `.repeat(20);
        break;
    case "length":
        ok["content-length"] = bytes.length;
        break;
    }
    stream.respond(ok);
    stream.end(bytes);
}

const server = http2.createSecureServer({
    cert: fs.readFileSync(certificate), key: fs.readFileSync(key), settings: { maxConcurrentStreams: 100 },
    paddingStrategy: http2.constants.PADDING_STRATEGY_ALIGNED,
});
server.on("session", (session) => {
    console.log("session");
    session.on("error", (e) => wrong(e.message));
    session.on("frameError", (type, code) => wrong(`frame ${type}: ${code}`));
});
server.on("stream", serve);
server.listen(Number(port), address, () => console.log("ready"));
