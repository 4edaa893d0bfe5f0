// A poll: GET shows the result, POST adds a vote.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { tally } from "tally";

export function poll(settings) {
  const votes = [];
  return (request, response) => {
    if (request.method === "POST") votes.push(new URL(request.url, "http://localhost").pathname.slice(1));
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ ...settings, environment: process.env.NODE_ENV, uid: process.getuid(), votes: tally(votes) }));
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const settings = JSON.parse(readFileSync(process.env.SETTINGS ?? "/etc/votes/votes.json"));
  const server = createServer(poll(settings)).listen(process.env.PORT, "127.0.0.1", () => {
    console.log(`listening on 127.0.0.1:${server.address().port}`);
  });
}
