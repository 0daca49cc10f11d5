"""What can be measured of how the dashboard looks and reads: names, headings, landmarks, contrast, width."""

from browser import expect

ROLES = {"button", "link", "textbox", "combobox", "checkbox", "radio", "searchbox", "DisclosureTriangle", "progressbar", "meter", "dialog", "table", "region"}

CONTRAST = """
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 1;
const brush = canvas.getContext('2d', { willReadFrequently: true });
const parse = (colour) => {
  brush.clearRect(0, 0, 1, 1);
  brush.fillStyle = colour;
  brush.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
  return { r, g, b, a: a / 255 };
};
const over = (top, under) => ({
  r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1 });
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.a > 0) layers.push(colour);
    if (colour.a === 1) break;
  }
  return layers.reduceRight((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
};
const light = ({ r, g, b }) => {
  const [x, y, z] = [r, g, b].map((value) => value / 255).map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ratio = (one, other) => {
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const seen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !element.closest('.unseen, .skip, thead, [aria-hidden="true"], :disabled, option') && element.getClientRects().length > 0;
const poor = [];
let looked = 0;
const judge = (element, colour, least, what) => {
  looked += 1;
  const under = ground(element);
  const found = ratio(over(parse(colour), under), under);
  if (found < least) poor.push(`${what}: ${found.toFixed(2)} below ${least}`);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const text = walker.currentNode.textContent.trim();
  if (!text || !seen(element)) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  judge(element, element.closest('svg') ? style.fill : style.color, large ? 3 : 4.5, text.slice(0, 40));
}
for (const icon of document.querySelectorAll('svg.icon')) {
  if (icon.getClientRects().length > 0 && !icon.closest(':disabled')) judge(icon.parentElement, getComputedStyle(icon).color, 3, icon.getAttribute('class'));
}
for (const field of document.querySelectorAll('main input, main select, main button, dialog input, dialog select')) {
  if (seen(field) && !field.matches('.bare, .primary, [type=checkbox], [type=radio]')) judge(field.parentElement, getComputedStyle(field).borderTopColor, 3, `edge of ${field.localName}`);
}
return { poor, looked };
"""

SIDEWAYS = """
const wide = document.documentElement.clientWidth;
const out = [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.unseen, .skip, svg, thead, dialog') && e.getBoundingClientRect().right > wide + 1);
return { over: document.documentElement.scrollWidth > wide, out: out.slice(0, 5).map((e) => `${e.localName}.${e.className}`) };
"""

STRUCTURE = """
const shown = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
const levels = [...document.querySelectorAll('main h1, main h2, main h3, main h4')].filter((e) => e.checkVisibility()).map((e) => Number(e.localName[1]));
return {
  h1: shown('h1').length, main: shown('main').length, lang: document.documentElement.lang, title: document.title,
  skipped: levels.some((level, index) => index > 0 && level > levels[index - 1] + 1),
  twice: [...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, index, all) => all.indexOf(id) !== index),
  tables: [...document.querySelectorAll('table')].filter((t) => !t.caption || !t.querySelector('th[scope=col]')).length,
};
"""


def check_names(browser, where):
    """Every control has a name, as the browser tells it to a screen reader."""
    tree = browser.cdp("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in tree if not node["ignored"] and node["role"]["value"] in ROLES]
    nameless = [node["role"]["value"] for node in controls if not node.get("name", {}).get("value", "").strip()]
    expect(not nameless, f"{where}: without a name: {nameless}")
    return len(controls)


def check_structure(browser, where, inside=True):
    found = browser.js(STRUCTURE)
    expect(found["h1"] == 1, f"{where}: {found['h1']} headings of the first level")
    expect(found["main"] == 1 and found["lang"] == "en", f"{where}: main {found['main']}, language {found['lang']}")
    expect("Nodekeep" in found["title"], f"{where}: the title is {found['title']!r}")
    expect(not found["skipped"], f"{where}: a level of headings is skipped")
    expect(not found["twice"], f"{where}: ids that are there twice: {found['twice']}")
    expect(found["tables"] == 0, f"{where}: {found['tables']} tables without caption or column headers")
    if inside:
        expect(browser.js("return document.querySelector('header nav[aria-label]') !== null"), f"{where}: no navigation")


def check_contrast(browser, where):
    found = browser.js(CONTRAST)
    expect(found["looked"] > 3, f"{where}: there was nothing to look at")
    expect(not found["poor"], f"{where}: too little contrast: {found['poor'][:8]}")
    return found["looked"]


def check_width(browser, where):
    found = browser.js(SIDEWAYS)
    expect(not found["over"], f"{where}: must be scrolled sideways because of {found['out']}")
