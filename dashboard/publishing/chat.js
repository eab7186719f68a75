// The model in the visitor's browser: loaded when it is asked for, answers set as text, nothing sent anywhere.
const at = (id) => document.getElementById(id);
const { model, script, wasm, context } = JSON.parse(at("chat-data").textContent);
const state = (words) => { at("chat-state").textContent = words; };
let engine = null, ending = null, talk = [];

const threads = () => self.crossOriginIsolated
  ? `${engine.getNumThreads()} threads`
  : "one thread: this host does not send the headers (COOP, COEP) that more would need";

const unsupported = () => {
  if (location.protocol === "file:") return "A page that is opened from a disk may not load a model: put the folder on a web server, such as python -m http.server.";
  if (!self.WebAssembly || !("promising" in WebAssembly)) return "This browser cannot run the model: it needs WebAssembly with promises (JSPI), as a recent Chrome or Edge has it.";
  return "";
};

const fetched = async (name) => {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: the host answers ${answer.status}`);
  const total = Number(answer.headers.get("Content-Length")) || 0, parts = [];
  let loaded = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    state(`Loading: ${(loaded / 1e6).toFixed(0)}${total ? ` of ${(total / 1e6).toFixed(0)}` : ""} MB`);
  }
  return new Blob(parts);
};

const load = async () => {
  at("load").disabled = true;
  try {
    const source = new Blob([await fetched(script)], { type: "text/javascript" }); // a blob: the policy knows no address
    const { Wllama, LoggerWithoutDebug } = await import(URL.createObjectURL(source));
    const made = new Wllama({ default: new URL(wasm, location.href).href }, { logger: LoggerWithoutDebug, suppressNativeLog: true });
    const weights = await fetched(model);
    state("Starting the model");
    const one = self.crossOriginIsolated ? {} : { n_threads: 1 };
    await made.loadModel([weights], { n_ctx: context, n_gpu_layers: 0, ...one });
    engine = made;
    at("load").hidden = true;
    at("ask").hidden = false;
    state(`Ready, ${threads()}.`);
  } catch (error) {
    state(`The model could not be loaded: ${error.message || error}`);
    at("load").disabled = false;
  }
};

const turn = (who, text) => {
  const entry = document.createElement("li"), name = document.createElement("strong"), said = document.createElement("pre");
  name.textContent = who;
  said.textContent = text;
  said.tabIndex = 0;
  entry.append(name, said);
  at("talk").append(entry);
  return said;
};

const busy = (is) => {
  at("send").disabled = at("anew").disabled = is;
  at("stop").disabled = !is;
  for (const one of document.querySelectorAll(".example")) one.disabled = is;
};

const ask = async (words) => {
  const text = words.trim();
  if (!text || ending) return;
  ending = new AbortController();
  busy(true);
  at("said").value = "";
  turn("You", text);
  const said = turn("Answer", ""), started = performance.now();
  const asked = [...talk, { role: "user", content: text }];
  let first = 0, tokens = 0, answer = "";
  const told = () => {
    const seconds = (performance.now() - first) / 1000;
    const pace = tokens > 1 && seconds > 0 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens/s` : "";
    return first ? `First token after ${((first - started) / 1000).toFixed(1)} s${pace}, ${threads()}.` : "";
  };
  state("Reading the prompt");
  try {
    const chunks = await engine.createChatCompletion({
      messages: asked,
      max_tokens: Number(at("tokens").value),
      temperature: Number(at("temperature").value),
      stream: true,
      abortSignal: ending.signal,
    });
    for await (const chunk of chunks) {
      const piece = chunk.choices[0]?.delta?.content;
      if (!piece) continue;
      if (!first) first = performance.now();
      tokens++;
      said.textContent = answer += piece;
      state(told());
    }
    talk = [...asked, { role: "assistant", content: answer }];
    state(told() || "The model said nothing.");
  } catch (error) {
    const stopped = ending.signal.aborted;
    state(stopped ? `Stopped. ${told()}` : `No answer: ${error.message || error}. A new conversation may help.`);
    if (stopped && answer) talk = [...asked, { role: "assistant", content: answer }];
  }
  ending = null;
  busy(false);
};

const shows = (slider) => at(slider).addEventListener("input", () => { at(`${slider}-is`).textContent = at(slider).value; });
shows("temperature");
shows("tokens");
at("load").addEventListener("click", load);
at("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(at("said").value); });
at("said").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(at("said").value); }
});
at("stop").addEventListener("click", () => ending?.abort());
at("anew").addEventListener("click", () => { talk = []; at("talk").replaceChildren(); state(`Ready, ${threads()}.`); });
for (const one of document.querySelectorAll(".example")) one.addEventListener("click", () => ask(one.textContent));
at("chat-box").hidden = false;
const why = unsupported();
if (why) { state(why); at("load").disabled = true; }
