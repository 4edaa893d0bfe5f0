#!/usr/bin/env node
// Puts the packages of package-lock.json into node_modules, from a folder of packages: what is there must have the
// digest that the lock file says. What was read once is kept in the cache.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { from: { type: "string" }, cache: { type: "string" } } });

function integrityOf(folder) {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort()) hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  return `sha256-${hash.digest("base64")}`;
}

const wanted = JSON.parse(readFileSync("package.json")).dependencies;
const locked = JSON.parse(readFileSync("package-lock.json")).packages;
console.log(process.env.PACKAGES_TOKEN ? "with a token" : "without a token");
for (const [name, version] of Object.entries(wanted)) {
  const { version: found, integrity } = locked[`node_modules/${name}`];
  if (found !== version) throw new Error(`${name}: the lock file has ${found}, package.json wants ${version}`);
  const kept = join(values.cache, `${name}-${version}`);
  if (!existsSync(kept)) cpSync(join(values.from, name), kept, { recursive: true });
  if (integrityOf(kept) !== integrity) throw new Error(`${name}: ${integrityOf(kept)} is not ${integrity}`);
  mkdirSync("node_modules", { recursive: true });
  cpSync(kept, join("node_modules", name), { recursive: true });
  console.log(`added ${name} ${version}`);
}
