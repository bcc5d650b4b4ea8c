// Plays a program that reads people's answers from the queue `<queuename>-replies`. Takes every queue message
// of QUEUE with Microsoft's own client, and prints the JSON of all these messages as one list. The
// environment variable QUEUE_CONNECTION has the connection string.
//
//   node replies.cjs QUEUE
"use strict";
const { QueueServiceClient } = require("@azure/storage-queue");

async function main() {
  const queue = QueueServiceClient.fromConnectionString(process.env.QUEUE_CONNECTION).getQueueClient(process.argv[2]);
  const replies = [];
  for (;;) {
    const { receivedMessageItems: messages } = await queue.receiveMessages({ numberOfMessages: 32 });
    if (messages.length === 0) break;
    for (const { messageId, popReceipt, messageText } of messages) {
      replies.push(JSON.parse(Buffer.from(messageText, "base64").toString("utf8")));
      await queue.deleteMessage(messageId, popReceipt);
    }
  }
  console.log(JSON.stringify(replies));
}

main().catch((error) => {
  console.error(`dev/replies.cjs: ${error.message}`);
  process.exitCode = 1;
});
