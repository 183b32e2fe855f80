"""The style of pages and of what a notebook shows: it names no font and no file outside the page, and runs no script.

Every rule begins with the class of the outermost element, so that nothing of a notebook's own page changes. The colours
of figures are variables too, and follow the reader's choice of light or dark.
"""

from __future__ import annotations

from typing import Final

from kdegrad.figures import colours

LIGHT: Final = colours.LIGHT | {
    "quiet": "#59616a",  # text beside the numbers
    "rule": "#d3d9df",
    "fail": "#a63d00",
}
DARK: Final = (
    colours.LIGHT | colours.DARK | {"faint": "#7d868f", "quiet": "#a3adb6", "rule": "#38424c", "fail": "#ff9a52"}
)
IN_NOTEBOOK: Final = LIGHT | {  # a notebook has its own paper and ink, which follow its theme
    "paper": "var(--jp-layout-color0, var(--vscode-editor-background, transparent))",
    "ink": "currentColor",
    "band": "rgba(128, 150, 170, 0.2)",
    "quiet": "inherit",
    "rule": "rgba(128, 128, 128, 0.4)",
    "grey": "#8f979f",
}
_DARK_THEMES: Final = ("[data-jp-theme-light=false]", ".vscode-dark", ".vscode-high-contrast", "html[theme=dark]")

RULES: Final = """
.kdegrad .kd-numbers, .kdegrad .kd-facts { display: flex; flex-wrap: wrap; gap: .25rem 2rem; margin: 0 0 1rem; }
.kdegrad dl > div { min-width: 0; }
.kdegrad dt { color: var(--kd-quiet); font-size: .85em; font-weight: normal; margin: 0; }
.kdegrad dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.kdegrad .kd-numbers dd { font-size: 1.35em; font-weight: 600; }
.kdegrad .kd-loud { color: var(--kd-fail); font-weight: 600; }
.kdegrad .kd-quiet { color: var(--kd-quiet); font-size: .9em; }
.kdegrad .kd-figure { margin: 0 0 1rem; }
.kdegrad .kd-figure svg { display: block; width: 100%; height: auto; fill: var(--kd-ink);
  stroke-linejoin: round; stroke-linecap: butt; }
.kdegrad .kd-figure svg text { font-family: inherit !important; white-space: pre; }
.kdegrad .kd-scroll { overflow-x: auto; max-width: 100%; margin: 0 0 1rem; }
.kdegrad .kd-scroll table { border-collapse: collapse; border: 0; margin: 0; font-variant-numeric: tabular-nums; }
.kdegrad .kd-scroll caption { caption-side: top; text-align: left; padding: 0 0 .4rem; color: inherit; }
.kdegrad .kd-scroll tr { background: none; border: 0; }
.kdegrad .kd-scroll th, .kdegrad .kd-scroll td { padding: .2rem .8rem .2rem 0; border: 0; text-align: left;
  vertical-align: top; background: none; color: inherit; font-weight: normal; max-width: 28rem; }
.kdegrad .kd-scroll thead th { color: var(--kd-quiet); font-size: .85em; vertical-align: bottom; line-height: 1.25;
  border-bottom: 1px solid var(--kd-rule); }
.kdegrad .kd-scroll tbody tr + tr > * { border-top: 1px solid var(--kd-band); }
.kdegrad .kd-scroll .kd-number { text-align: right; white-space: nowrap; }
.kdegrad .kd-scroll * + .kd-number, .kdegrad .kd-scroll .kd-bar { padding-left: .6rem; }
.kdegrad .kd-scroll .kd-name { white-space: nowrap; }
.kdegrad .kd-scroll .kd-words { min-width: 5.5rem; }
.kdegrad .kd-scroll .kd-long { min-width: 9rem; max-width: 18rem; overflow-wrap: anywhere; }
.kdegrad .kd-scroll .kd-sentence { min-width: 20rem; }
.kdegrad details caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.kdegrad .kd-scroll .kd-bar { min-width: 6rem; padding-right: 0; text-align: center; }
.kdegrad .kd-scroll td.kd-bar { vertical-align: middle; }
.kdegrad .kd-bar i { display: block; height: .7em; }
.kdegrad .kd-up { background: var(--kd-pulled); }
.kdegrad .kd-down { background: var(--kd-pushed); }
.kdegrad .kd-fail { color: var(--kd-fail); font-weight: 600; }
.kdegrad .kd-pass { color: var(--kd-pulled); }
.kdegrad summary { cursor: pointer; padding: .3rem 0; }
.kdegrad pre { overflow-x: auto; margin: .3rem 0 .8rem; padding: .6rem .8rem; background: var(--kd-band);
  color: inherit; font: .85em/1.4 ui-monospace, Menlo, Consolas, monospace; }
.kdegrad .kd-wrapped { white-space: pre-wrap; overflow-wrap: anywhere; }
"""

_OF_PAGE: Final = """
:root { color-scheme: light dark; }
body.kdegrad { margin: 0 auto; padding: 1.2rem 1rem 2.5rem; max-width: 66rem; background: var(--kd-paper);
  color: var(--kd-ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
.kdegrad h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
.kdegrad h1 span { display: block; font-size: 1rem; font-weight: normal; color: var(--kd-quiet); }
.kdegrad h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
.kdegrad h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; overflow-wrap: anywhere; }
.kdegrad p { margin: 0 0 .6rem; max-width: 46rem; overflow-wrap: anywhere; }
.kdegrad .kd-figure { max-width: 42rem; }
@media (max-width: 30rem) {
  .kdegrad .kd-figure { margin: 0 -.8rem 1rem; }
  .kdegrad .kd-scroll { font-size: .9rem; }
}
.kdegrad .kd-failure { border-left: 3px solid var(--kd-fail); padding: 0 0 0 .9rem; margin: 0 0 1.2rem; }
.kdegrad footer { margin-top: 2rem; padding-top: .6rem; border-top: 1px solid var(--kd-rule); }
"""

_OF_NOTEBOOK: Final = """
.kdegrad { max-width: 54rem; }
.kdegrad p { margin: 0 0 .5rem; }
.kdegrad .kd-figure { max-width: 36rem; }
"""


def _variables(colours: dict[str, str]) -> str:
    return "{ " + " ".join(f"--kd-{name}: {colour};" for name, colour in colours.items()) + " }"


def of_page() -> str:
    """Return the style of a page: light or dark as the reader's system is."""
    dark = f"@media (prefers-color-scheme: dark) {{ .kdegrad {_variables(DARK)} }}"
    return f"\n.kdegrad {_variables(LIGHT)}\n{dark}{_OF_PAGE}{RULES}"


def of_notebook() -> str:
    """Return the style of what a notebook shows: dark as its theme is, whatever the reader's system is."""
    own = ("paper", "ink", "band", "quiet", "rule")  # as in the light, of the notebook
    inked = {name: colour for name, colour in DARK.items() if name not in own}
    dark = ", ".join(f"{theme} .kdegrad" for theme in _DARK_THEMES)
    return f"\n.kdegrad {_variables(IN_NOTEBOOK)}\n{dark} {_variables(inked)}{RULES}{_OF_NOTEBOOK}"
