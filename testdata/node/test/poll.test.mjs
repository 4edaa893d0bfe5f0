import assert from "node:assert/strict";
import test from "node:test";
import { tally } from "tally";
import { poll } from "../src/server.mjs";

test("the most popular answer is first", () => {
  assert.deepEqual(tally(["tabs", "spaces", "spaces"]), [["spaces", 2], ["tabs", 1]]);
});

test("a vote counts", () => {
  let written;
  const response = { setHeader() {}, end: (text) => (written = JSON.parse(text)) };
  poll({ question: "?" })({ method: "POST", url: "/tabs" }, response);
  assert.deepEqual(written.votes, [["tabs", 1]]);
});
