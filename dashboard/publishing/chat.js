// The model in the visitor's browser: loaded when it is asked for, nothing sent anywhere. Follows talk.js.
const { model, script, wasm, context } = told;

let engine = null;

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

const pieces = async function* (messages, options, abortSignal) {
  const chunks = await engine.createChatCompletion({ messages, ...options, stream: true, abortSignal });
  for await (const chunk of chunks) {
    const piece = chunk.choices[0]?.delta?.content;
    if (piece) yield piece;
  }
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
    begin({ pieces, by: threads });
  } catch (error) {
    state(`The model could not be loaded: ${error.message || error}`);
    at("load").disabled = false;
  }
};

at("load").addEventListener("click", load);
const why = unsupported();
if (why) { state(why); at("load").disabled = true; }
