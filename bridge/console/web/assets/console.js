// What makes the pages handier; all of them work without it.
"use strict";

// Times are told where the person is: the browser knows, and the service hears it with the next request.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const known = document.cookie.split("; ").find((one) => one.startsWith("bridge_zone="));
if (known !== `bridge_zone=${zone}`) {
  document.cookie = `bridge_zone=${zone}; path=/console; max-age=31536000; samesite=lax`;
  if (document.querySelector("main time") && !sessionStorage.getItem("zone")) {
    sessionStorage.setItem("zone", zone);
    location.reload();
  }
}

// "/" goes to the search of the page, as in many other places.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
  const search = document.querySelector("[data-search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
});

// A form that is sent is not sent twice.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  for (const button of event.target.querySelectorAll("button")) setTimeout(() => { button.disabled = true; });
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[method=post] button")) button.disabled = false;
});

// A rule that is asked for by name comes into view.
document.querySelector("[data-jump]")?.addEventListener("change", (event) => {
  const card = document.getElementById(`rule-${event.target.value}`);
  card?.scrollIntoView({ block: "start" });
});
document.querySelector(".jump")?.addEventListener("submit", (event) => event.preventDefault());

// What is live is sent by the service, ready to be shown.
const live = document.querySelector("[data-live]");
if (live && window.EventSource) {
  const stream = new EventSource(live.dataset.live);
  stream.onmessage = (event) => {
    const page = new DOMParser().parseFromString(event.data, "text/html");
    live.replaceChildren(...page.body.childNodes);
  };
  window.addEventListener("pagehide", () => stream.close());
}
