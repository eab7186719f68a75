// A conversation on the page, whoever answers: words set as text, nothing kept.
const at = (id) => document.getElementById(id);
const told = JSON.parse(at("chat-data").textContent);
const state = (words) => { at("chat-state").textContent = words; };
let answerer = null, ending = null, talk = []; // answerer: {pieces(asked, options, signal): texts as they come, by(): by what}

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
  for (const one of document.querySelectorAll(".example, #model")) one.disabled = is;
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
  const pace = () => {
    const seconds = (performance.now() - first) / 1000;
    const rate = tokens > 1 && seconds > 0 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens/s` : "";
    return first ? `First token after ${((first - started) / 1000).toFixed(1)} s${rate}, ${answerer.by()}.` : "";
  };
  state("Reading the prompt");
  try {
    const options = { max_tokens: Number(at("tokens").value), temperature: Number(at("temperature").value) };
    for await (const piece of answerer.pieces(asked, options, ending.signal)) {
      if (!first) first = performance.now();
      tokens++;
      said.textContent = answer += piece;
      state(pace());
    }
    talk = [...asked, { role: "assistant", content: answer }];
    state(pace() || "The model said nothing.");
  } catch (error) {
    const stopped = ending.signal.aborted;
    state(stopped ? `Stopped. ${pace()}` : `No answer: ${error.message || error}. A new conversation may help.`);
    if (stopped && answer) talk = [...asked, { role: "assistant", content: answer }];
  }
  ending = null;
  busy(false);
};

const anew = () => { talk = []; at("talk").replaceChildren(); state(`Ready, ${answerer.by()}.`); };

const begin = (made) => {
  answerer = made;
  at("ask").hidden = false;
  state(`Ready, ${answerer.by()}.`);
};

const shows = (slider) => at(slider).addEventListener("input", () => { at(`${slider}-is`).textContent = at(slider).value; });
shows("temperature");
shows("tokens");
at("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(at("said").value); });
at("said").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(at("said").value); }
});
at("stop").addEventListener("click", () => ending?.abort());
at("anew").addEventListener("click", anew);
for (const one of document.querySelectorAll(".example")) one.addEventListener("click", () => ask(one.textContent));
at("chat-box").hidden = false;

