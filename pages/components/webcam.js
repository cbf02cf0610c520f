// Looks after the frame in which the webcam's video runs: hides what it shows in the place of a picture, tells why the
// camera gives none, lets the choice of front or rear reach it, gives the video's shape to what keeps its place, and shows
// the video alone on the screen.
const LOOK_MS = 500, SILENT_MS = 4000, ASK_MS = 3000, AGAIN_MS = 300, FACINGS = "mask-camera-facings";
const PROBLEMS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing",
  OverconstrainedError: "missing", NotReadableError: "in_use", AbortError: "in_use" };
const VIDEO = "#root > .MuiBox-root video";  // not that of the choice of cameras
const facings = () => JSON.parse(localStorage.getItem(FACINGS) ?? "{}");
const page = () => [...document.querySelectorAll("iframe")].find((each) => each.src.includes("streamlit_webrtc"));

export default function ({ data, setStateValue, parentElement }) {
  const button = parentElement.querySelector("button");
  const words = parentElement.querySelector("p");
  button.textContent = data.full;
  // What outlives a new run of the page.
  const now = (parentElement.now ??= { told: "", mutedAt: 0, startedAt: 0, waitsSince: 0, askedAt: 0, played: false });
  now.tell = (problem) => {
    if (now.told !== problem) setStateValue("problem", (now.told = problem));
  };

  const follow = (track) => {
    const { deviceId, facingMode } = track.getSettings();
    if (deviceId && facingMode) localStorage.setItem(FACINGS, JSON.stringify({ ...facings(), [deviceId]: facingMode }));
    track.addEventListener("ended", () => now.tell("ended"));
    track.addEventListener("mute", () => (now.mutedAt = Date.now()));
    track.addEventListener("unmute", () => (now.mutedAt = 0));
    now.waitsSince = Date.now();
    now.mutedAt = 0;
  };
  const watch = (frame) => {
    const colour = getComputedStyle(parentElement.host ?? parentElement).getPropertyValue("--st-background-color");
    const style = frame.document.createElement("style");
    style.textContent = `html, body { background: transparent !important; } .MuiPaper-root { visibility: hidden; } .MuiCircularProgress-root { visibility: visible; }
      #root > .MuiBox-root > :last-child { min-height: 36.5px; } #root > .MuiStack-root { background: ${colour}; }`;
    frame.document.head.append(style);
    const media = frame.navigator.mediaDevices;
    if (!media) return;
    const open = media.getUserMedia.bind(media);
    media.getUserMedia = async (wanted) => {
      // The frame may start twice at once where the page runs meanwhile: two offers, and the answer to one meets the
      // other. Only the first goes on.
      if (Date.now() - now.startedAt < AGAIN_MS) return new Promise(() => {});
      now.startedAt = Date.now();
      // The frame asks for the camera that it had before, and for no other; it may look the wrong way.
      const { deviceId, ...others } = wanted.video ?? {};
      const facing = facings()[deviceId?.exact ?? deviceId];
      if (facing && others.facingMode && facing !== others.facingMode.ideal) wanted = { ...wanted, video: others };
      try {
        const stream = await open(wanted);
        now.tell("");
        stream.getVideoTracks().forEach(follow);
        return stream;
      } catch (error) {
        now.waitsSince = 0;
        now.tell(PROBLEMS[error.name] ?? "failed");
        throw error;
      }
    };
  };
  const look = async () => {
    const frame = page()?.contentWindow;
    if (frame?.document.getElementById("root") && !frame.watched) {
      frame.watched = true;
      watch(frame);
    }
    const video = frame?.document.querySelector(VIDEO);
    const plays = Boolean(video?.srcObject && video.readyState > 1);
    button.hidden = !plays || !(video.requestFullscreen || video.webkitEnterFullscreen);
    const stage = document.querySelector(".st-key-live_stage");
    if (plays) stage?.style.setProperty("--video-ratio", `${video.videoWidth} / ${video.videoHeight}`);
    if (plays) now.waitsSince = 0;
    else if (now.played) now.waitsSince = Date.now();
    now.played = plays;
    if (plays && now.mutedAt && Date.now() - now.mutedAt > SILENT_MS) now.tell("silent");
    else if (now.told === "silent" && !(plays && now.mutedAt)) now.tell("");
    // No picture though the camera is open: is the server there?
    const waits = now.waitsSince && Date.now() - now.waitsSince > SILENT_MS;
    if ((waits || words.textContent) && Date.now() - now.askedAt > ASK_MS) {
      now.askedAt = Date.now();
      const there = await fetch("_stcore/health", { cache: "no-store" }).then((answer) => answer.ok, () => false);
      words.textContent = there ? "" : data.unreached;
      if (there) now.waitsSince = 0;
    }
  };
  button.onclick = () => {
    const video = page().contentDocument.querySelector(VIDEO);
    if (video.requestFullscreen) video.requestFullscreen();
    else video.webkitEnterFullscreen();
  };
  const timer = setInterval(look, LOOK_MS);
  look();
  return () => clearInterval(timer);
}
