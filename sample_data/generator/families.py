"""The sixteen product families: each function turns four shape parameters (0 to 1) into parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .geometry import (
    Part,
    Shape,
    disc,
    grid_part,
    lathe,
    mix,
    moved,
    ring_of,
    rounded_box,
    tube,
    turned,
    vessel,
)


def mug(s: Shape) -> list[Part]:
    top, height = 0.36, mix(s["height"], 0.5, 1.0)
    foot, lip = top * mix(s["taper"], 1.02, 0.58), mix(s["lip"], -0.02, 0.075)
    outer = [
        (foot - 0.03, 0),
        (foot - 0.03, 0),
        (foot, 0.03),
        (mix(0.5, foot, top), height * 0.45),
        (top, height * 0.84),
        (top + lip, height),
    ]
    reach, span = mix(s["handle"], 0.14, 0.32), mix(s["handle"], 0.2, 0.36)
    middle = height * 0.52
    low = mix((middle - height * span) / height, foot, top) - 0.02
    ear = [
        (top - 0.03, 0, middle + height * span),
        (top + reach * 0.75, 0, middle + height * span),
        (top + reach, 0, middle),
        (low + reach * 0.75, 0, middle - height * span),
        (low, 0, middle - height * span),
    ]
    return [*vessel(outer, 0.035), tube(ear, 0.045, "plain"), moved(disc(foot - 0.025, 0.02, "trim"), z=-0.018)]


def vase(s: Shape) -> list[Part]:
    height, belly, neck = mix(s["height"], 0.72, 1.1), mix(s["belly"], 0.19, 0.42), mix(s["neck"], 0.06, 0.17)
    mouth = neck + mix(s["flare"], 0.0, 0.17)
    foot = mix(0.45, neck, belly)
    outer = [
        (foot - 0.02, 0),
        (foot - 0.02, 0),
        (foot, 0.02),
        (belly, height * 0.34),
        (mix(0.6, neck, belly), height * 0.58),
        (neck, height * 0.78),
        (mix(0.25, neck, mouth), height * 0.91),
        (mouth, height),
    ]
    return [*vessel(outer, 0.025), moved(disc(foot - 0.01, 0.025, "trim"), z=-0.02)]


def bowl(s: Shape) -> list[Part]:
    radius, depth = mix(s["width"], 0.34, 0.5), mix(s["depth"], 0.16, 0.46)
    foot, lift = radius * 0.45, mix(s["foot"], 0.02, 0.2)
    flare = mix(s["flare"], -0.05, 0.14)
    outer = [
        (foot, lift),
        (foot, lift),
        (radius * 0.78, lift + depth * 0.3),
        (radius * 0.95, lift + depth * 0.68),
        (radius + flare, lift + depth),
    ]
    ring = lathe(
        [
            (foot * 0.9, lift + 0.03),
            (foot * 0.8, lift * 0.5),
            (foot * mix(s["foot"], 0.95, 1.15), 0),
            (foot * 0.5, 0),
            (0, 0.01),
        ],
        "trim",
    )
    return [*vessel(outer, 0.03, 0.115, "body"), ring]


def bottle(s: Shape) -> list[Part]:
    height, radius = mix(s["height"], 0.62, 0.95), 0.2
    neck, turn = mix(s["neck"], 0.045, 0.1), mix(s["shoulder"], 0.42, 0.74) * height
    outer = [
        (radius - 0.03, 0),
        (radius - 0.03, 0),
        (radius, 0.03),
        (radius, 0.03),
        (radius, turn * 0.55),
        (radius, turn),
        (mix(0.35, neck, radius), turn + (height - turn) * 0.34),
        (neck, turn + (height - turn) * 0.62),
        (neck, height * 0.97),
        (neck + 0.015, height),
    ]
    size = mix(s["stopper"], 0.05, 0.13)
    ball = [
        (neck * 0.8, height - 0.05),
        (neck * 0.8, height),
        (neck * 0.9, height + 0.01),
        (size, height + size * 0.9),
        (size * 0.75, height + size * 1.6),
        (0, height + size * 1.85),
    ]
    return [*vessel(outer, 0.022, 0.115), lathe(ball, "trim")]


def teapot(s: Shape) -> list[Part]:
    radius, height = mix(s["roundness"], 0.25, 0.37), mix(s["roundness"], 0.64, 0.46)
    mouth = radius * 0.55
    square = mix(s["roundness"], 0.97, 0.76)
    body = [
        (0, 0),
        (radius * 0.72, 0),
        (radius * 0.72, 0),
        (radius * square, height * 0.12),
        (radius, height * 0.45),
        (radius * square, height * 0.82),
        (mouth, height),
        (0, height + 0.005),
    ]
    cap, knob = mix(s["lid"], 0.03, 0.14), mix(s["lid"], 0.03, 0.065)
    cover = [(mouth, height), (mouth * 1.02, height + 0.02), (mouth * 0.75, height + cap * 0.75), (0.02, height + cap)]
    grip = [
        (0.02, height + cap - 0.02),
        (0.02, height + cap + 0.01),
        (knob, height + cap + knob),
        (knob * 0.7, height + cap + knob * 1.8),
        (0, height + cap + knob * 2),
    ]
    reach = mix(s["spout"], 0.14, 0.36)
    pipe = [
        (-radius * 0.85, 0, height * 0.3),
        (-radius - reach * 0.45, 0, height * 0.42),
        (-radius - reach * 0.7, 0, height * 0.75),
        (-radius - reach, 0, height * mix(s["spout"], 0.9, 1.08)),
    ]
    if s["handle"] < 0.5:
        out = mix(s["handle"] * 2, 0.16, 0.28)
        ear = [
            (radius * 0.8, 0, height * 0.85),
            (radius + out * 0.8, 0, height * 0.88),
            (radius + out, 0, height * 0.5),
            (radius + out * 0.5, 0, height * 0.2),
            (radius * 0.85, 0, height * 0.2),
        ]
    else:
        rise = mix(s["handle"] * 2 - 1, 0.24, 0.42)
        ear = [
            (-radius * 0.8, 0, height * 0.8),
            (-radius * 0.85, 0, height + rise * 0.6),
            (0, 0, height + rise),
            (radius * 0.85, 0, height + rise * 0.6),
            (radius * 0.8, 0, height * 0.8),
        ]
    return [
        lathe(body, "body", 0.115),
        lathe(cover, "plain"),
        lathe(grip, "trim"),
        tube(pipe, (0.08, 0.035), "plain"),
        tube(ear, 0.03, "trim" if s["handle"] >= 0.5 else "plain"),
    ]


def table_lamp(s: Shape) -> list[Part]:
    bulb, stem = mix(s["base"], 0.05, 0.21), mix(s["stem"], 0.16, 0.46)
    tall = 0.12 + bulb
    foot = [
        (0, 0),
        (0.17, 0),
        (0.17, 0),
        (0.17, 0.025),
        (0.12, 0.035),
        (bulb, 0.04 + tall * 0.45),
        (0.035, 0.04 + tall),
        (0, 0.045 + tall),
    ]
    low = tall + stem * 0.75
    wide = mix(s["shade_width"], 0.2, 0.38)
    narrow, deep = wide * mix(s["shade_taper"], 1.0, 0.35), 0.36
    shade = lathe([(wide, low), (narrow, low + deep)], "body", 0.12, steps=8)
    lining = lathe([(wide - 0.008, low + 0.001), (narrow - 0.008, low + deep)], "white", steps=8)
    hoops = [
        moved(
            tube(
                [(r * np.cos(a), r * np.sin(a), 0) for a in np.linspace(0, 2 * np.pi, 49)],
                0.009,
                "accent",
                8,
                curved=False,
            ),
            z=z,
        )
        for r, z in ((wide, low), (narrow, low + deep))
    ]
    pole = tube([(0, 0, tall), (0, 0, low + deep * 0.8)], 0.017, "trim", curved=False)
    glow = lathe([(0.0, low + 0.06), (0.06, low + 0.1), (0.04, low + 0.17), (0, low + 0.18)], "glow")
    return [lathe(foot, "plain"), shade, lining, *hoops, pole, glow]


def pendant_lamp(s: Shape) -> list[Part]:
    wide, tall = mix(s["width"], 0.26, 0.5), mix(s["height"], 0.26, 0.66)
    bend = s["curve"]
    outer = [
        (0.05, tall),
        (wide * mix(bend, 0.28, 0.72), tall * mix(bend, 0.76, 0.86)),
        (wide * mix(bend, 0.62, 0.98), tall * mix(bend, 0.38, 0.46)),
        (wide, 0.0),
    ]
    band = mix(s["rim"], 0.012, 0.11)
    rim = lathe(
        [(wide - 0.01, -band), (wide + band * 0.3, -band), (wide + band * 0.3, -band), (wide + 0.004, 0.004)], "trim"
    )
    inner = lathe([(max(r - 0.014, 0.01), z - 0.008) for r, z in outer], "white")
    cap = lathe(
        [(0, tall + 0.1), (0.03, tall + 0.09), (0.035, tall + 0.02), (0.06, tall - 0.01), (0.06, tall - 0.02)], "trim"
    )
    glow = lathe([(0, 0.02), (0.07, 0.09), (0.05, 0.16), (0, 0.18)], "glow")
    cord = replace(tube([(0, 0, tall + 0.08), (0, 0, tall + 6)], 0.011, "cord", 8, curved=False), framed=False)
    stub = tube([(0, 0, tall + 0.05), (0, 0, tall + 0.24)], 0.01, "cord", 8, curved=False)
    return [moved(part, z=band) for part in (lathe(outer), rim, inner, cap, glow, cord, stub)]


def splayed_legs(
    places: list[tuple[float, float]], height: float, splay: float, radius: float, slot: str
) -> list[Part]:
    """Straight legs under given places, leaning outwards by `splay`."""
    return [
        tube([(x * (1 + splay), y * (1 + splay), 0), (x, y, height)], (radius * 0.72, radius), slot, 12, curved=False)
        for x, y in places
    ]


def stool(s: Shape) -> list[Part]:
    height, round_seat = mix(s["height"], 0.42, 0.95), s["seat"]
    radius, thick = 0.27, mix(round_seat, 0.05, 0.17)
    puff = [
        (0, 0),
        (radius - 0.03, 0),
        (radius, thick * 0.3),
        (radius, thick * 0.7),
        (radius - 0.04, thick),
        (0, thick * 1.06),
    ]
    count, width = (3, 0.042) if s["legs"] < 0.5 else (4, 0.03)
    splay = mix(s["splay"], 0.0, 0.62)
    places = ring_of(count, 0.19, 90 if count == 3 else 45)
    level = 0.34
    reach = 1 + splay * (1 - level)
    bars = [
        tube(
            [(x * reach, y * reach, height * level), (u * reach, v * reach, height * level)],
            0.015,
            "accent",
            8,
            curved=False,
        )
        for (x, y), (u, v) in zip(places, places[1:] + places[:1], strict=True)
    ]
    return [
        moved(lathe(puff, "body", 0.115, flat=True), z=height),
        *splayed_legs(places, height + 0.02, splay, width, "leg"),
        *bars,
    ]


def chair(s: Shape) -> list[Part]:
    wide, deep, level = 0.44, 0.42, 0.44
    thick = mix(s["seat"], 0.03, 0.16)
    seat = moved(rounded_box((wide, deep, thick), thick * 0.45, "body", 0.1), z=level + thick / 2)
    tall = mix(s["back"], 0.2, 0.5)
    back = rounded_box((wide * mix(s["back"], 1.0, 0.92), 0.05, tall), mix(s["back"], 0.024, 0.024), "body", 0.1)
    base = level + thick
    back = moved(turned(moved(back, z=tall / 2), "x", -9), y=deep / 2 - 0.03, z=base + 0.06)
    posts = [
        tube([(x, deep / 2 - 0.035, base - 0.05), (x, deep / 2 + 0.0, base + 0.16)], 0.018, "leg", 10, curved=False)
        for x in (-wide * 0.34, wide * 0.34)
    ]
    splay, width = mix(s["legs"], 0.0, 0.42), mix(s["legs"], 0.04, 0.017)
    places = [(x, y) for x in (-wide * 0.41, wide * 0.41) for y in (-deep * 0.4, deep * 0.4)]
    parts = [seat, back, *posts, *splayed_legs(places, level + 0.02, splay, width, "leg")]
    if s["arms"] >= 0.4:
        high = base + mix(s["arms"], 0.12, 0.22)
        for side in (-1, 1):
            x = side * (wide / 2 + 0.015)
            parts.append(
                tube(
                    [
                        (x, -deep * 0.36, level + 0.03),
                        (x, -deep * 0.42, high - 0.02),
                        (x, -deep * 0.32, high),
                        (x, deep * 0.2, high + 0.02),
                        (x * 0.93, deep / 2 + 0.01, high + 0.03),
                    ],
                    0.02,
                    "leg",
                    10,
                )
            )
    return parts


def side_table(s: Shape) -> list[Part]:
    height, radius = mix(s["height"], 0.42, 0.85), mix(s["top"], 0.26, 0.44)
    top = moved(disc(radius, 0.05, "body", 0.02, 0.11), z=height)
    parts = [top]
    if s["legs"] < 0.34:
        stand = [
            (0, 0),
            (radius * 0.62, 0),
            (radius * 0.62, 0),
            (radius * 0.6, 0.02),
            (0.06, 0.06),
            (0.032, height * 0.4),
            (0.032, height * 0.8),
            (0.09, height + 0.01),
        ]
        parts.append(lathe(stand, "plain"))
    else:
        count = 3 if s["legs"] < 0.67 else 4
        places = ring_of(count, radius * 0.68, 90 if count == 3 else 45)
        parts += splayed_legs(places, height + 0.01, 0.22 if count == 3 else 0.0, 0.026, "leg")
    if s["shelf"] >= 0.3:
        level = height * mix(s["shelf"], 0.2, 0.5)
        parts.append(moved(disc(radius * 0.78, 0.028, "accent", 0.01), z=level))
    return parts


def planter(s: Shape) -> list[Part]:
    height, top = mix(s["height"], 0.4, 0.8), 0.36
    foot = top * mix(s["taper"], 1.0, 0.58)
    lift = 0.0 if s["legs"] < 0.3 else mix(s["legs"], 0.08, 0.36)
    outer = [
        (foot - 0.03, lift),
        (foot - 0.03, lift),
        (foot, lift + 0.03),
        (mix(0.5, foot, top), lift + height / 2),
        (top, lift + height),
    ]
    band, edge = mix(s["rim"], 0.0, 0.17), top + mix(s["rim"], 0.0, 0.075)
    parts = vessel(outer, 0.03)
    if s["rim"] > 0.15:
        z = lift + height
        parts.append(
            lathe(
                [
                    (top, z - band),
                    (edge, z - band),
                    (edge, z - band),
                    (edge, z + 0.012),
                    (edge, z + 0.012),
                    (top - 0.03, z + 0.012),
                ],
                "plain",
            )
        )
    soil = lathe(
        [(top - 0.02, lift + height - 0.06), (top * 0.5, lift + height - 0.03), (0, lift + height - 0.02)], "soil"
    )
    if lift:
        parts += splayed_legs(ring_of(4 if s["legs"] > 0.65 else 3, foot * 0.72, 30), lift + 0.02, 0.3, 0.032, "leg")
    return [*parts, soil, *sprout(lift + height - 0.04)]


def sprout(level: float) -> list[Part]:
    """A small rosette of leaves growing out of the soil."""
    leaves = []
    for number in range(11):
        lean = 0.11 + 0.1 * (number % 3)
        rows = np.linspace(0, 1, 7)[:, None]
        across = np.linspace(-1, 1, 5)[None]
        width = 0.035 * np.sin(np.pi * rows**0.75) + 0.004
        x, y = lean * rows**1.4 + 0.012 * across**2, across * width
        z = (0.3 - 0.055 * (number % 3)) * rows - 0.12 * lean * rows**2
        grid = np.stack(np.broadcast_arrays(x + 0.01, y, z + level), axis=2)
        leaves.append(turned(grid_part([(grid, grid[..., :2])], "leaf"), "z", number * 137.5))
    return leaves


def clock(s: Shape) -> list[Part]:
    power = mix(s["roundness"], 9.0, 2.0)
    angle = np.linspace(0, 2 * np.pi, 73)
    outline = (
        np.stack(
            [
                np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power),
                np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power),
            ],
            axis=1,
        )
        * 0.42
    )
    rim = mix(s["frame"], 0.05, 0.17)
    inner = (0.42 - rim) / 0.42

    around = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    around *= round(around[-1] / 0.115) / around[-1]

    def sweep(rows: list[tuple[float, float]], slot: str) -> Part:
        grid = np.stack([np.column_stack([outline[:, 0] * k, np.full(73, y), outline[:, 1] * k]) for k, y in rows])
        step = np.diff(np.asarray(rows) * [0.42, 1.0], axis=0)
        arc = np.concatenate([[0], np.cumsum(np.linalg.norm(step, axis=1))]) / 0.115
        return grid_part([(grid, np.stack(np.broadcast_arrays(around[None], arc[:, None]), axis=2))], slot)

    depth = mix(s["frame"], 0.05, 0.09)
    frame = sweep(
        [
            (inner, -0.03),
            (inner, -depth - 0.02),
            (inner + 0.03, -depth - 0.035),
            (0.97, -depth - 0.03),
            (1.0, -depth),
            (1.0, 0.06),
            (0.97, 0.075),
            (0.01, 0.075),
        ],
        "body",
    )
    face = sweep([(0.003, -0.032), (inner, -0.032)], "face")
    size = 0.42 * inner
    count = 4 if s["markers"] < 0.34 else 12
    big = mix(s["markers"], 0.02, 0.042)
    marks = [
        tube(
            [
                (0.9 * size * np.sin(a), -0.036, 0.9 * size * np.cos(a)),
                ((0.9 - 0.55 * big / 0.1) * size * np.sin(a), -0.036, (0.9 - 0.55 * big / 0.1) * size * np.cos(a)),
            ],
            big * 0.35,
            "mark",
            8,
            curved=False,
        )
        for a in np.radians(np.arange(count) * 360 / count)
    ]
    width = mix(s["hands"], 0.008, 0.032)
    hands = [
        tube(
            [(-0.1 * r * np.sin(a), y, -0.1 * r * np.cos(a)), (r * np.sin(a), y, r * np.cos(a))],
            width,
            "accent",
            8,
            curved=False,
        )
        for a, r, y in (
            (np.radians(305), size * mix(s["hands"], 0.6, 0.42), -0.045),
            (np.radians(50), size * mix(s["hands"], 0.86, 0.66), -0.055),
        )
    ]
    hub = turned(disc(width * 1.9, 0.02, "accent", 0.004), "x", 90)
    parts = [moved(part, z=0.47) for part in (frame, face, *marks, *hands, moved(hub, y=-0.05))]
    feet = [tube([(x * 1.25, 0, 0), (x, 0, 0.11)], 0.034, "trim", 12, curved=False) for x in (-0.2, 0.2)]
    return [*parts, *feet, tube([(0, 0.24, 0), (0, 0.04, 0.3)], 0.03, "trim", 12, curved=False)]


def candle_holder(s: Shape) -> list[Part]:
    height, wide, cup = mix(s["height"], 0.3, 0.85), mix(s["base"], 0.11, 0.3), mix(s["cup"], 0.05, 0.115)
    foot = [(0, 0), (wide, 0), (wide, 0), (wide * 0.97, 0.04), (wide * 0.5, 0.085), (0.06, 0.13)]
    stem = [(0.06, 0.13), (0.052, height * 0.42), (0.07, height * 0.56), (0.052, height * 0.68), (0.045, height)]
    places = [(0.0, height)]
    parts = [lathe(foot, "body", 0.1, flat=True), lathe(stem, "body", 0.075, 32)]
    if s["arms"] >= 0.34:
        reach = 0.29
        sides = [0.0, 180.0] if s["arms"] < 0.67 else [0.0, 180.0, 90.0, 270.0]
        for turn in sides:
            arm = tube(
                [
                    (0, 0, height * 0.6),
                    (reach * 0.55, 0, height * 0.55),
                    (reach, 0, height * 0.7),
                    (reach, 0, height * 0.86),
                ],
                0.025,
                "plain",
                10,
            )
            parts.append(turned(arm, "z", turn))
            places.append((turn, height * 0.86))
    for number, (turn, level) in enumerate(places):
        holder = [(0.03, 0), (cup, 0.03), (cup * 1.05, 0.09), (cup * 0.8, 0.09), (cup * 0.75, 0.05), (0, 0.05)]
        candle = [(0, 0.05), (0.038, 0.05), (0.038, 0.05), (0.038, 0.26), (0.03, 0.275), (0, 0.27)]
        for part in (
            lathe(holder, "trim", around=32),
            lathe(candle, "wax", around=24),
            tube([(0, 0, 0.26), (0, 0, 0.3)], 0.005, "dark", 6, curved=False),
        ):
            parts.append(turned(moved(part, x=0.0 if number == 0 else 0.29, z=level), "z", turn if number else 0.0))
    return parts


def speaker(s: Shape) -> list[Part]:
    height, wide, deep = mix(s["height"], 0.46, 1.0), 0.46, 0.36
    cabinet = moved(rounded_box((wide, deep, height), mix(s["corner"], 0.012, 0.13), "body", 0.13), z=height / 2 + 0.03)
    front = -deep / 2
    count = 1 + min(2, int(s["cones"] * 3))
    covered = mix(s["grille"], 0.0, 0.45) * height if s["grille"] >= 0.3 else 0.0
    room = height - 0.1 - covered
    radius = min(0.16, room / (2.15 * count))
    parts = [cabinet]
    for number in range(count):
        size = radius * (1.0 if number == 0 else 0.82)
        level = 0.08 + covered + room * (number + 0.5) / count
        rim = lathe([(size, -0.12), (size, 0.02), (size * 0.88, 0.03), (size * 0.84, 0.012)], "accent", around=40)
        cone = lathe(
            [(size * 0.86, 0.012), (size * 0.4, 0.004), (size * 0.34, 0.004), (size * 0.26, 0.03), (0, 0.04)],
            "dark",
            around=40,
        )
        parts += [moved(turned(part, "x", 90), y=front, z=level) for part in (rim, cone)]
    if covered:
        panel = rounded_box((wide * 0.8, 0.24, covered - 0.03), 0.014, "cloth", 0.1)
        parts.append(moved(panel, y=front + 0.101, z=0.06 + covered / 2))
    feet = [moved(disc(0.035, 0.035, "trim"), x=x, y=y) for x in (-0.15, 0.15) for y in (-0.1, 0.1)]
    return [*parts, *feet]


def bell(s: Shape) -> list[Part]:
    height, mouth = mix(s["height"], 0.34, 0.62), 0.3
    waist = mouth * mix(s["flare"], 0.94, 0.58)
    crown = waist * mix(s["shoulder"], 0.45, 1.0)
    outer = [
        (mouth, 0),
        (mouth, 0.02),
        (mix(0.25, waist, mouth), height * 0.16),
        (waist, height * 0.42),
        (mix(0.3, waist, crown), height * 0.76),
        (crown * 0.9, height * 0.9),
        (0.05, height),
        (0, height),
    ]
    inner = lathe([(max(r - 0.025, 0.01), z) for r, z in outer[:-2]], "trim")
    band = lathe(
        [
            (mouth - 0.02, 0.0),
            (mouth + 0.012, 0.0),
            (mouth + 0.018, 0.02),
            (mouth + 0.01, 0.04),
            (mouth - 0.012, 0.045),
        ],
        "trim",
    )
    size = mix(s["handle"], 0.1, 0.44)
    grip = [
        (0.045, height - 0.01),
        (0.03, height + 0.03),
        (mix(s["handle"], 0.045, 0.06), height + size * 0.45),
        (0.035, height + size * 0.8),
        (0.05, height + size * 0.92),
        (0, height + size),
    ]
    return [lathe(outer, "body", 0.115), inner, band, lathe(grip, "trim")]


def cushion(s: Shape) -> list[Part]:
    wide, tall = 0.5, mix(s["size"], 0.3, 0.5)
    puff, corner = mix(s["puff"], 0.09, 0.24), mix(s["corners"], 0.0, 1.0)
    side = np.linspace(-1, 1, 33)
    u, v = np.meshgrid(side, side)
    # Rounded corners squeeze the square towards a disc; pointed ones pull the edges in between the corners.
    squeeze_u, squeeze_v = u * np.sqrt(1 - v**2 / 2), v * np.sqrt(1 - u**2 / 2)
    pull = 0.1 * (1 - corner)
    edge_u, edge_v = u * (1 - pull * (1 - v**2)), v * (1 - pull * (1 - u**2))
    x, z = mix(corner * 0.85, edge_u, squeeze_u) * wide, mix(corner * 0.85, edge_v, squeeze_v) * tall
    swell = puff * (np.clip(1 - u**2, 0, 1) * np.clip(1 - v**2, 0, 1)) ** 0.42
    creases = 0.006 * np.sin(9 * u + 4 * v) * np.sin(3 * v - 5 * u) * (swell / puff)
    uv = np.stack([x, z], axis=2) / 0.16
    front = np.stack([x, -swell - creases, z], axis=2)
    back = np.stack([x, swell, z], axis=2)
    shell = grid_part([(front, uv), (back[:, ::-1], uv[:, ::-1])], "body")
    border = np.concatenate([front[0], front[1:, -1], front[-1, ::-1][1:], front[::-1, 0][1:]])
    cord = tube([tuple(p) for p in border], mix(s["piping"], 0.005, 0.038), "accent", 8, curved=False)
    parts = [turned(part, "x", -12) for part in (shell, cord)]
    low = min(float(part.vertices[:, 2].min()) for part in parts)
    return [moved(part, z=-low - 0.012) for part in parts]


FAMILIES: dict[str, Callable[[Shape], list[Part]]] = {
    "mug": mug,
    "vase": vase,
    "bowl": bowl,
    "bottle": bottle,
    "teapot": teapot,
    "table_lamp": table_lamp,
    "pendant_lamp": pendant_lamp,
    "stool": stool,
    "chair": chair,
    "side_table": side_table,
    "planter": planter,
    "clock": clock,
    "candle_holder": candle_holder,
    "speaker": speaker,
    "bell": bell,
    "cushion": cushion,
}


def build_product(family: str, shape: Shape) -> list[Part]:
    """The parts of one product, standing on z = 0; unknown families name the known ones."""
    if family not in FAMILIES:
        raise KeyError(
            f"family {family!r} came; one of {', '.join(FAMILIES)} was expected. Correct the look in shots.json."
        )
    parts = FAMILIES[family](shape)
    low = min(float(part.vertices[:, 2].min()) for part in parts)
    return [moved(part, z=-low) for part in parts]
