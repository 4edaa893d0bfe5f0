// Writes each module given on the command line to a folder, without its comments and empty lines; a module that was
// done before comes from the cache.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

const options = { cache: { type: "string" }, out: { type: "string" } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });

for (const folder of [values.cache, values.out]) mkdirSync(folder, { recursive: true });
for (const path of positionals) {
  const source = readFileSync(path, "utf8");
  const kept = join(values.cache, createHash("sha256").update(source).digest("hex"));
  if (existsSync(kept)) {
    console.log(`${path}: from the cache`);
  } else {
    const lines = source.split("\n").filter((line) => line.trim() && !line.trim().startsWith("//"));
    writeFileSync(kept, `${lines.join("\n")}\n`);
    console.log(`${path}: bundled`);
  }
  copyFileSync(kept, join(values.out, basename(path)));
}
