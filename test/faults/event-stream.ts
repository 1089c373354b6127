/** Reads an event stream to its end, as a browser would: the data of each event, in order. */
export async function readStream(url: string, headers: { readonly [name: string]: string } = {}): Promise<unknown[]> {
  const response = await fetch(url, { headers: { accept: "text/event-stream", ...headers } });
  if (response.status === 204) return [];
  if (response.status !== 200) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  const text = await response.text();
  return text.split("\n\n").flatMap((block) => {
    const data = block.split("\n").flatMap((line) => (line.startsWith("data:") ? [line.slice(5).trim()] : []));
    return data.length === 0 ? [] : [JSON.parse(data.join("\n"))];
  });
}
