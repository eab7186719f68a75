// The models of the server that this page comes from. Follows talk.js.
const lines = async function* (body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
};

const pieces = async function* (messages, options, signal) {
  const body = JSON.stringify({ model: at("model").value, messages, ...options, stream: true });
  const answer = await fetch("v1/chat/completions", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Error(said?.error?.message || `the server answers ${answer.status}`);
  }
  for await (const line of lines(answer.body)) {
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    const chunk = JSON.parse(line.slice(6));
    if (chunk.error) throw new Error(chunk.error.message);
    const waits = chunk.bakeoff?.queue_position;
    if (chunk.bakeoff?.state === "loading") state("The server loads the model");
    else if (waits) state(`Number ${waits} in the queue`);
    const piece = chunk.choices?.[0]?.delta?.content;
    if (piece) yield piece;
  }
};

at("model").addEventListener("change", anew);
if (location.protocol === "file:") state("A page that is opened from a disk has no server that would answer.");
else begin({ pieces, by: () => `by ${at("model").selectedOptions[0].textContent}` });
