// Submits a document to docroute by task name, from JavaScript with a Celery client that knows nothing of docroute.
//
//     npm install celery-node
//     node submit.js redis://127.0.0.1:6390/0 '{"uri": "file:///srv/scans/receipt.png", "job_id": "order-4711"}'
//
// The second argument holds the arguments of `docroute.submit`, as the README lists them. DOCROUTE_PREFIX is the prefix
// of the queues' keys where service.broker.key_prefix is another one than "docroute:".
"use strict";

const celery = require("celery-node");

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
submit(process.argv[2], JSON.parse(process.argv[3])).then(
  (id) => console.log(id),
  (error) => {
    console.error(`not submitted: ${error.message}`);
    process.exit(1);
  },
);
