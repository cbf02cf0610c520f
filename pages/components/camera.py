"""What is wrong with the visitor's camera."""

import streamlit as st

# Asks the browser, without asking the person, whether there is a camera and whether this page may use it.
CAMERA_CHECK_JS = """
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
"""


CAMERA_PROBLEMS = {
    "refused": "The camera was refused: allow it beside the address at the top of your browser, then reload this page.",
    "missing": "No camera was found: connect one, or open this page on a device that has one.",
    "insecure": "Your browser gives its camera only to secure pages: open this one as https, or on the server itself.",
}


def camera_problem() -> str | None:
    """Why the visitor's browser would give no picture, in one sentence, or ``None``; follows every change."""
    check = st.components.v2.component("camera_check", js=CAMERA_CHECK_JS)
    state = check(key="camera_check", on_problem_change=lambda: None)
    return CAMERA_PROBLEMS.get(state.get("problem") or "")
