// Asks the browser, without asking the person, whether there is a camera and whether this page may use it.
export default function ({ setStateValue, parentElement }) {
  const media = navigator.mediaDevices;
  let permission = null;
  const look = async () => {
    let problem = "";
    if (!media) problem = "insecure";
    else if (permission && permission.state === "denied") problem = "refused";
    else if (!(await media.enumerateDevices()).some((device) => device.kind === "videoinput")) problem = "missing";
    if ((parentElement.lastProblem || "") === problem) return;
    parentElement.lastProblem = problem;
    setStateValue("problem", problem);
  };
  const watch = async () => {
    try {
      permission = await navigator.permissions.query({ name: "camera" });
      permission.onchange = look;
    } catch {}  // a browser that does not tell: it will say so itself when the camera is started
    await look();
  };
  watch();
  if (media) media.addEventListener("devicechange", look);
  return () => {
    if (media) media.removeEventListener("devicechange", look);
    if (permission) permission.onchange = null;
  };
}
