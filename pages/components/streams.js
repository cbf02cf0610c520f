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
    words.textContent = picture ? "" : data.none;
  };
  image.alt = data.alt;
  button.textContent = data.full;
  button.onclick = () => (document.fullscreenElement ? document.exitFullscreen() : image.requestFullscreen());
  const ask = (after) =>
    fetch(`cameras/${data.ticket}?after=${after}`, { cache: "no-store", signal: stopped.signal }).catch(() => null);
  const run = async () => {
    for (let coming = ask(""); !stopped.signal.aborted; ) {
      const answer = await coming;
      if (answer?.status === 200) {
        const picture = await answer.blob().catch(() => null);
        coming = ask(answer.headers.get("Picture"));  // on its way while this one is decoded
        const old = image.src;
        image.src = URL.createObjectURL(picture ?? new Blob());
        shown(await image.decode().then(() => true, () => false));
        URL.revokeObjectURL(old);
      } else {
        shown(false);
        if (answer?.status !== 204) await wait(500);
        coming = ask("");
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
