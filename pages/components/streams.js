// Asks for one picture after another. The place of the picture says so when none comes: no frozen picture is left.
export default function ({ data, parentElement }) {
  const image = parentElement.querySelector("img");
  const words = parentElement.querySelector("p");
  const button = parentElement.querySelector("button");
  const stopped = new AbortController();
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const shown = (picture) => {
    image.hidden = !picture;
    button.hidden = !picture || !image.requestFullscreen;
    words.textContent = picture ? "" : "No picture at the moment.";
  };
  image.alt = data.alt;
  button.onclick = () => (document.fullscreenElement ? document.exitFullscreen() : image.requestFullscreen());
  const run = async () => {
    for (let after = ""; !stopped.signal.aborted; ) {
      try {
        const address = `cameras/${data.ticket}?after=${after}`;
        const answer = await fetch(address, { cache: "no-store", signal: stopped.signal });
        if (answer.status !== 200) {
          shown(false);
          await wait(answer.status === 204 ? 0 : 500);
          continue;
        }
        after = answer.headers.get("Picture");
        const old = image.src;
        image.src = URL.createObjectURL(await answer.blob());
        await image.decode();
        URL.revokeObjectURL(old);
        shown(true);
      } catch {
        if (stopped.signal.aborted) return;
        shown(false);
        await wait(500);
      }
      // A page that nobody sees asks for nothing.
      while (document.hidden && !stopped.signal.aborted) await wait(500);
    }
  };
  run();
  return () => {
    stopped.abort();
    URL.revokeObjectURL(image.src);
  };
}
