/** Builds the console from src/console into dist/console, which the server serves at `/`. Tests are not its business: they keep the repository as root. */
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig(
  process.env.VITEST
    ? {}
    : {
        root: from("src/console"),
        // Relative addresses, so that the page also works where a server mounts it below `/`.
        base: "./",
        plugins: [react()],
        build: {
          outDir: from("dist/console"),
          emptyOutDir: true,
          target: "es2022",
          // No inline script, no data: URL: the page's content security policy allows neither.
          modulePreload: { polyfill: false },
          assetsInlineLimit: 0,
        },
      },
);
