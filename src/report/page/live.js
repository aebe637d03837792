// The page begins; one that follows its runs asks for them again and again.

// Whether charts of these data are charts of others with other points.
const shapeOf = ({ groups, charts }) => JSON.stringify([
  groups.map(({ label, colour, timeline }) => [label, colour, timeline?.step]),
  charts.map(({ name, interface: part, series }) => [name, part, series.map(({ group }) => group)]),
]);

function take(sent) {
  const isSame = data && shapeOf(data) === shapeOf(sent);
  data = unfold(sent);
  if (!isSame) return build();
  buildHeader();
  buildText();
  redraw();
}

async function follow() {
  const PAUSE = 2000;
  const state = byId("live");
  let known = "";
  for (;;) {
    try {
      const answer = await fetch("data", { headers: known ? { "If-None-Match": known } : {} });
      if (answer.ok) {
        known = answer.headers.get("ETag") ?? "";
        take(await answer.json());
      }
      state.replaceChildren(answer.ok || answer.status === 304 ? "live" : await answer.text());
    } catch {
      state.replaceChildren("not followed any more: dni report --live has ended");
    }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}

if (data) build();
else {
  byId("live").hidden = false;
  follow();
}
