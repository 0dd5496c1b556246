// Submits a document to docroute by task name, from JavaScript with a Celery client that knows nothing of docroute.
//
//     npm install celery-node
//     node submit.js redis://127.0.0.1:6390/0 '{"uri": "file:///srv/scans/receipt.png", "job_id": "order-4711"}'
//
// The second argument holds the arguments of `docroute.submit`, as the README lists them. DOCROUTE_PREFIX is the prefix
// of the queues' keys where service.broker.key_prefix is another one than "docroute:". DOCROUTE_PASSWORD_FILE names the
// file with the broker's password: that of `docroute up` is .docroute/valkey-6390.password.
"use strict";

const fs = require("node:fs");

const celery = require("celery-node");

function withPassword(url) {
  const file = process.env.DOCROUTE_PASSWORD_FILE;
  if (!file) return url;
  const broker = new URL(url);
  broker.password = encodeURIComponent(fs.readFileSync(file, "utf8").trim());
  return broker.href;
}

async function submit(broker, args) {
  const client = celery.createClient(broker, broker, "intake");
  const options = { keyPrefix: process.env.DOCROUTE_PREFIX ?? "docroute:" };
  client.conf.CELERY_BROKER_OPTIONS = options;
  client.conf.CELERY_BACKEND_OPTIONS = options;
  await client.isReady();
  // the service keeps no task results: what became of the document comes by webhook
  const sent = client.sendTask("docroute.submit", [], args);
  await new Promise(setImmediate); // celery-node writes the message a moment later, and disconnecting would be faster
  await client.disconnect();
  return sent.taskId;
}

if (process.argv.length !== 4) {
  console.error("usage: node submit.js BROKER_URL ARGUMENTS_AS_JSON");
  process.exit(2);
}
submit(withPassword(process.argv[2]), JSON.parse(process.argv[3])).then(
  (id) => console.log(id),
  (error) => {
    console.error(`not submitted: ${error.message}`);
    process.exit(1);
  },
);
