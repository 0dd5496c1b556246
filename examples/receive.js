// Receives docroute's webhooks and prints those that are genuine, one a line. Needs nothing but Node.js.
//
//     node receive.js SECRET_FILE [PORT]
//
// The address goes to stdout first. A message may come twice: `event_id` in the body tells.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");

const WINDOW_S = 300;
const MAX_BYTES = 6_000_000;

// `body` is the Buffer as it came: parsed and written again it would be another text
function isGenuine(secret, header, body, nowS = Date.now() / 1000) {
  const parts = header.split(",").map((part) => part.trim().split("="));
  const times = parts.filter(([name]) => name === "t").map(([, value]) => value);
  if (times.length !== 1 || !isRecent(times[0], nowS)) return false;
  const expected = crypto.createHmac("sha256", secret).update(`${times[0]}.`).update(body).digest();
  return parts.some(([name, value]) => {
    if (name !== "v1" || !/^[0-9a-f]{64}$/.test(value ?? "")) return false;
    return crypto.timingSafeEqual(expected, Buffer.from(value, "hex"));
  });
}

// The same by the headers of the Standard Webhooks specification; any of its libraries does this too
function isStandard(secret, headers, body, nowS = Date.now() / 1000) {
  const [id, time, given] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`] ?? "");
  if (!isRecent(time, nowS)) return false;
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : secret;
  const expected = crypto.createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest();
  return given.split(" ").some((part) => {
    const signature = Buffer.from(part.startsWith("v1,") ? part.slice(3) : "", "base64");
    return signature.length === expected.length && crypto.timingSafeEqual(expected, signature);
  });
}

// what is older was perhaps replayed
function isRecent(time, nowS) {
  return /^[0-9]{1,12}$/.test(time ?? "") && Math.abs(nowS - Number(time)) <= WINDOW_S;
}

function receive(secret, port, print) {
  const server = http.createServer((request, response) => {
    const pieces = [];
    let size = 0;
    request.on("data", (piece) => {
      size += piece.length;
      if (size > MAX_BYTES) request.destroy();
      else pieces.push(piece);
    });
    request.on("end", () => {
      const body = Buffer.concat(pieces);
      const genuine =
        isGenuine(secret, request.headers["docroute-signature"] ?? "", body) ||
        isStandard(secret, request.headers, body);
      response.writeHead(genuine ? 204 : 400).end();
      if (genuine) print(body.toString("utf8"));
    });
  });
  server.listen(port, "127.0.0.1", () => print(`http://127.0.0.1:${server.address().port}/`));
  return server;
}

if (require.main === module) {
  const [secretFile, port = "0"] = process.argv.slice(2);
  if (secretFile === undefined) {
    console.error("usage: node receive.js SECRET_FILE [PORT]");
    process.exit(2);
  }
  const secret = fs.readFileSync(secretFile, "utf8").split("\n")[0].trim();
  receive(secret, Number(port), (line) => console.log(line));
}

module.exports = { isGenuine, isStandard };
