# SPDX-License-Identifier: GPL-2.0-or-later
"""Curves over time as SVG: a panel for each load, a line for each peer."""

import html

COLOURS = "#777777", "#b3261e", "#1f5fa8", "#3a7d44", "#8a5a00", "#6b3fa0"
WIDTH, HEIGHT, LEFT, TOP, GAP = 900, 200, 70, 30, 60


def _panel(panel, top, colours):
    """panel: title, end (seconds), highest, unit, phases ([seconds]), ideal (or None), lines {peer: [(at, value)]}"""
    def x(at):
        return LEFT + at / panel["end"] * (WIDTH - LEFT - 20)

    def y(value):
        return top + HEIGHT - value / panel["highest"] * HEIGHT

    parts = [f'<text x="{LEFT}" y="{top - 8}" font-size="14">{html.escape(panel["title"])}</text>',
             f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - 20}" height="{HEIGHT}" fill="none" stroke="#999"/>']
    for i in range(5):
        value = panel["highest"] * i / 4
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}{panel["unit"]}</text>')
    for i in range(6):
        at = panel["end"] * i / 5
        parts.append(f'<text x="{x(at):.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{at:.0f} s</text>')
    for at in panel["phases"]:
        parts.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{top}" y2="{top + HEIGHT}" stroke="black" '
                     'stroke-dasharray="2,4"/>')
    if panel["ideal"] is not None:
        parts.append(f'<line x1="{x(0)}" x2="{x(panel["end"])}" y1="{y(panel["ideal"]):.1f}" '
                     f'y2="{y(panel["ideal"]):.1f}" stroke="black" stroke-dasharray="6,3"/>')
    for peer, points in panel["lines"].items():
        text = " ".join(f"{x(min(at, panel['end'])):.1f},{y(min(value, panel['highest'])):.1f}" for at, value in points)
        parts.append(f'<polyline points="{text}" fill="none" stroke="{colours[peer]}" stroke-width="2"/>')
    return parts


def draw(title, panels, peers):
    colours = dict(zip(peers, COLOURS))
    height = TOP + 40 + len(panels) * (HEIGHT + GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
             'font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="10" y="20" font-size="15">{html.escape(title)}</text>']
    for i, peer in enumerate(peers):
        parts.append(f'<text x="{LEFT + i * 150}" y="42" fill="{colours[peer]}" font-size="14">{html.escape(peer)}</text>')
    for i, panel in enumerate(panels):
        parts += _panel(panel, TOP + 40 + i * (HEIGHT + GAP), colours)
    return "\n".join([*parts, "</svg>", ""])
