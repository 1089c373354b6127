#!/usr/bin/env node
/**
 * What `escapement` starts: looks at Node's version and only then loads what needs a new one. Nothing is imported here, and nothing is
 * written that Node 14 could not read: an older Node must get as far as the sentence.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major > 22 || (major === 22 && minor >= 19)) import("./main.ts");
else {
  process.stderr.write(
    `escapement: Node 22.19 or newer is needed, and this is ${process.versions.node}: install one from https://nodejs.org, or put one into your project with \`npm install --save-dev node\`\n`,
  );
  process.exitCode = 1;
}

export {};
