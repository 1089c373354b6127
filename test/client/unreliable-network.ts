/** A TCP proxy between client and server whose connections a test can cut, hold and refuse. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export type Network = {
  readonly url: string;
  /** Connections made so far. */
  made(): number;
  open(): number;
  /** Ends every open connection at once. */
  cut(): void;
  /** Bytes from the server stay in the proxy from here on, in connections that are open now; nobody is told. */
  hold(): void;
  /** New connections are closed at once. */
  refuse(isRefused: boolean): void;
  /** Where new connections go. */
  retarget(url: string): void;
  /** Called with every chunk from the server before it is passed on. */
  onData: ((chunk: Buffer) => void) | undefined;
};

export async function network(target: string): Promise<Network> {
  let port = Number(new URL(target).port);
  let made = 0;
  let refused = false;
  const pairs = new Set<{ near: Socket; far: Socket; held: boolean }>();
  const proxy = createServer((near) => {
    if (refused) {
      near.destroy();
      return;
    }
    made++;
    const far = connect(port, "127.0.0.1");
    const pair = { near, far, held: false };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      socket.on("error", end);
      socket.on("close", end);
    }
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk: Buffer) => {
      it.onData?.(chunk);
      if (!pair.held && !near.destroyed) near.write(chunk);
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const { near, far } of [...pairs]) {
      near.destroy();
      far.destroy();
    }
  };
  onTestFinished(async () => {
    cut();
    await new Promise((resolve) => proxy.close(resolve));
  });
  const it: Network = {
    // A listening TCP server's address is never a pipe's name.
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    made: () => made,
    open: () => pairs.size,
    cut,
    hold: () => {
      for (const pair of pairs) pair.held = true;
    },
    refuse: (isRefused) => {
      refused = isRefused;
    },
    retarget: (url) => {
      port = Number(new URL(url).port);
    },
    onData: undefined,
  };
  return it;
}
