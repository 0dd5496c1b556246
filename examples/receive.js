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
  if (times.length !== 1 || !/^[0-9]{1,12}$/.test(times[0] ?? "")) return false;
  if (Math.abs(nowS - Number(times[0])) > WINDOW_S) return false; // old, so perhaps replayed
  const expected = crypto.createHmac("sha256", secret).update(`${times[0]}.`).update(body).digest();
  return parts.some(([name, value]) => {
    if (name !== "v1" || !/^[0-9a-f]{64}$/.test(value ?? "")) return false;
    return crypto.timingSafeEqual(expected, Buffer.from(value, "hex"));
  });
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
      const genuine = isGenuine(secret, request.headers["docroute-signature"] ?? "", body);
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

module.exports = { isGenuine };
