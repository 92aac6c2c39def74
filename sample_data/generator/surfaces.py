"""Cycles materials: nine product materials, twelve colours, five patterns, and the surfaces of customer photos."""

from __future__ import annotations

from typing import Any

import bpy

from .world import COLOURS

Colour = tuple[float, float, float, float]

# Roughness, metallic, coat and specular of the coloured body; the bare material shows in the trim.
BODIES: dict[str, dict[str, float]] = {
    "ceramic": {"Roughness": 0.32, "Coat Weight": 0.7, "Coat Roughness": 0.05},
    "glass": {"Roughness": 0.04, "Coat Weight": 1.0, "Coat Roughness": 0.02},
    "oak": {"Roughness": 0.5, "Coat Weight": 0.12, "Coat Roughness": 0.3},
    "walnut": {"Roughness": 0.42, "Coat Weight": 0.25, "Coat Roughness": 0.2},
    "steel": {"Roughness": 0.34, "Metallic": 0.55, "Coat Weight": 0.3, "Coat Roughness": 0.12},
    "brass": {"Roughness": 0.38, "Metallic": 0.25, "Coat Weight": 0.7, "Coat Roughness": 0.06},
    "fabric": {"Roughness": 0.95, "Sheen Weight": 0.35, "Specular IOR Level": 0.1},
    "plastic": {"Roughness": 0.4, "Specular IOR Level": 0.45},
    "stone": {"Roughness": 0.62, "Specular IOR Level": 0.35},
}
# The bare material: colour and further principled inputs.
BARE: dict[str, tuple[str, dict[str, float]]] = {
    "ceramic": ("#C9A07C", {"Roughness": 0.85}),
    "glass": ("#CFE0DE", {"Roughness": 0.03, "Transmission Weight": 0.6, "Coat Weight": 0.6}),
    "oak": ("#C79A63", {"Roughness": 0.5}),
    "walnut": ("#5F3D27", {"Roughness": 0.45}),
    "steel": ("#C9CBCD", {"Roughness": 0.24, "Metallic": 1.0}),
    "brass": ("#D9A441", {"Roughness": 0.2, "Metallic": 1.0}),
    "fabric": ("#D8B88A", {"Roughness": 0.5}),
    "plastic": ("#3A3C40", {"Roughness": 0.45}),
    "stone": ("#A9A59C", {"Roughness": 0.7}),
}
FIXED: dict[str, tuple[str, dict[str, float]]] = {
    "dark": ("#1B1C1E", {"Roughness": 0.45}),
    "white": ("#F4F2EC", {"Roughness": 0.55}),
    "wax": ("#F1E7D0", {"Roughness": 0.5, "Subsurface Weight": 0.0}),
    "cloth": ("#4A4C50", {"Roughness": 0.95}),
    "cord": ("#2B2B2D", {"Roughness": 0.7}),
    "leaf": ("#6E9A5B", {"Roughness": 0.5}),
    "soil": ("#3B2C22", {"Roughness": 1.0}),
    "glow": ("#FFF3DA", {"Roughness": 0.3, "Emission Strength": 1.2}),
}


def linear(code: str, strength: float = 1.0) -> Colour:
    """Scene-linear RGBA of an sRGB code such as #B3262E, times `strength`."""
    values = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return (red * strength, green * strength, blue * strength, 1.0)


class Graph:
    """A node tree under construction: `node` adds one node, wires its inputs and hands back its first output."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()

    def node(self, kind: str, settings: dict[str, Any] | None = None, output: str | int = 0, /, **inputs: Any) -> Any:
        """Inputs by identifier-like name (`Base_Color`) or position (`_0`); a socket is wired, a value is set."""
        node = self.tree.nodes.new("ShaderNode" + kind)
        for key, value in (settings or {}).items():
            setattr(node, key, value)
        for key, value in inputs.items():
            socket = node.inputs[int(key[1:]) if key[1:].isdigit() else key.replace("_", " ")]
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            else:
                socket.default_value = value
        return node.outputs[output] if len(node.outputs) else node

    def math(self, operation: str, first: Any, second: Any = 0.0) -> Any:
        """One arithmetic node."""
        return self.node("Math", {"operation": operation}, _0=first, _1=second)

    def blend(self, factor: Any, first: Any, second: Any, mode: str = "MIX") -> Any:
        """Mixes two colours."""
        settings = {"data_type": "RGBA", "blend_type": mode}
        return self.node("Mix", settings, 2, _0=factor, _6=first, _7=second)

    def coordinates(self, scale: tuple[float, float, float], source: str = "Object") -> Any:
        """Object coordinates, stretched."""
        return self.node("Mapping", None, Vector=self.node("TexCoord", None, source), Scale=scale)

    def noise(self, vector: Any, scale: float, detail: float = 4.0, distortion: float = 0.0) -> Any:
        """Fractal noise, about 0.3 to 0.7."""
        return self.node("TexNoise", None, Vector=vector, Scale=scale, Detail=detail, Distortion=distortion)

    def ramp(self, value: Any, low: float, high: float) -> Any:
        """0 below low, 1 above high."""
        return self.node("MapRange", None, Value=value, From_Min=low, From_Max=high)

    def bump(self, height: Any, strength: float, distance: float = 0.02) -> Any:
        """A normal disturbed by a height field."""
        return self.node("Bump", None, Height=height, Strength=strength, Distance=distance)

    def finish(self, colour: Any, inputs: dict[str, float], normal: Any = None) -> Any:
        """Closes the tree with a principled surface."""
        wired = {key.replace(" ", "_"): value for key, value in inputs.items()}
        if normal is not None:
            wired["Normal"] = normal
        if "Emission Strength" in inputs:
            wired["Emission_Color"] = colour
        surface = self.node("BsdfPrincipled", None, Base_Color=colour, **wired)
        return self.close(surface)

    def finish_matt(self, colour: Any, normal: Any = None) -> Any:
        """Closes the tree with a plain diffuse surface, the cheapest to trace."""
        wired = {} if normal is None else {"Normal": normal}
        return self.close(self.node("BsdfDiffuse", None, Color=colour, **wired))

    def close(self, surface: Any) -> Any:
        """Wires a surface to the output and returns the material."""
        self.node("OutputMaterial", None, Surface=surface)
        return self.material


def pattern_mask(graph: Graph, pattern: str) -> Any:
    """1 where the accent colour shows, 0 where the main colour does; None for plain."""
    if pattern == "plain":
        return None
    if pattern == "speckled":
        cells = graph.tree.nodes.new("ShaderNodeTexVoronoi")
        cells.inputs["Scale"].default_value = 21.0
        wobble = graph.noise(graph.coordinates((1, 1, 1)), 30.0, 2.0)
        graph.tree.links.new(graph.coordinates((1, 1, 1)), cells.inputs["Vector"])
        size = graph.node("SeparateColor", None, Color=cells.outputs["Color"])
        reach = graph.math("MULTIPLY", graph.math("ADD", size, 0.12), 0.42)
        shaken = graph.math("ADD", cells.outputs["Distance"], graph.math("MULTIPLY", wobble, 0.1))
        return graph.math("LESS_THAN", shaken, graph.math("ADD", reach, 0.05))
    split = graph.node("SeparateXYZ", None, Vector=graph.node("UVMap")).node
    across, along = split.outputs[0], split.outputs[1]
    if pattern == "striped":
        return graph.math("LESS_THAN", graph.math("FRACT", along), 0.46)
    if pattern == "checked":
        first = graph.math("LESS_THAN", graph.math("FRACT", across), 0.5)
        second = graph.math("LESS_THAN", graph.math("FRACT", along), 0.5)
        return graph.math("ABSOLUTE", graph.math("SUBTRACT", first, second))
    # Dots: every second row is shifted by half a period.
    row = graph.math("FLOOR", along)
    shift = graph.math("MULTIPLY", graph.math("FLOORED_MODULO", row, 2.0), 0.5)
    x = graph.math("SUBTRACT", graph.math("FRACT", graph.math("ADD", across, shift)), 0.5)
    y = graph.math("SUBTRACT", graph.math("FRACT", along), 0.5)
    return graph.math("LESS_THAN", graph.math("ADD", graph.math("MULTIPLY", x, x), graph.math("MULTIPLY", y, y)), 0.092)


def grain(graph: Graph, axis: int) -> Any:
    """Wood grain, 0 to 1: noise stretched along an axis, with fine pores."""
    stretch = [13.0, 13.0, 13.0]
    stretch[axis] = 1.1
    vector = graph.coordinates((stretch[0], stretch[1], stretch[2]))
    return graph.ramp(graph.noise(vector, 1.6, 7.0, 1.2), 0.32, 0.68)


def body_material(look: dict[str, Any], patterned: bool, axis: int = 2) -> Any:
    """The coloured material of a look; `axis` is the direction of wood grain."""
    graph = Graph("body")
    material = look["material"]
    colour: Any = linear(COLOURS[look["colour"]])
    mask = pattern_mask(graph, look["pattern"]) if patterned else None
    if mask is not None:
        colour = graph.blend(mask, colour, linear(COLOURS[look["accent"]]))
    normal = None
    if material in ("oak", "walnut"):
        lines = grain(graph, axis)
        # Dark stains hide the wood, otherwise black and navy would read as brown.
        dark_stain = look["colour"] in ("black", "navy")
        keep = 0.9 if dark_stain else 0.74
        deep = linear("#2B1B12" if material == "walnut" else "#6B5A48" if dark_stain else "#B88A55")
        shade = graph.blend(keep, deep, colour)
        colour = graph.blend(graph.math("MULTIPLY", lines, 0.75), colour, shade)
        normal = graph.bump(lines, 0.12)
    elif material == "stone":
        veins = graph.ramp(graph.noise(graph.coordinates((1, 1, 1)), 6.0, 8.0, 1.5), 0.35, 0.65)
        colour = graph.blend(graph.math("MULTIPLY", veins, 0.55), colour, linear("#8D8A84"), "OVERLAY")
        normal = graph.bump(graph.noise(graph.coordinates((1, 1, 1)), 40.0), 0.25)
    elif material == "fabric":
        weave = graph.node(
            "TexWave",
            {"bands_direction": "DIAGONAL"},
            Vector=graph.coordinates((1, 1, 1)),
            Scale=26.0,
            Distortion=4.0,
            Detail=2.0,
            Detail_Scale=6.0,
        )
        thread = graph.noise(graph.coordinates((1, 1, 1)), 90.0, 2.0)
        colour = graph.blend(
            0.35, colour, graph.node("CombineColor", None, Red=thread, Green=thread, Blue=thread), "SOFT_LIGHT"
        )
        normal = graph.bump(graph.math("ADD", weave, thread), 0.35)
    elif material in ("steel", "brass"):
        brushed = graph.noise(graph.coordinates((2, 2, 90)), 2.0, 3.0)
        normal = graph.bump(brushed, 0.06)
    elif material == "ceramic":
        normal = graph.bump(graph.noise(graph.coordinates((1, 1, 1)), 5.0, 2.0), 0.05)
    inputs = dict(BODIES[material])
    if material == "glass":
        return finish_glass(graph, colour, inputs)
    return graph.finish(colour, inputs, normal)


def finish_glass(graph: Graph, colour: Any, inputs: dict[str, float]) -> Any:
    """Tinted glass: half clear sheet, half pigment, so that light passes and the named colour stays readable."""
    bright = graph.blend(0.06, colour, (1.0, 1.0, 1.0, 1.0))
    clear = graph.node("BsdfTransparent", None, Color=bright)
    wired = {key.replace(" ", "_"): value for key, value in inputs.items()}
    painted = graph.node("BsdfPrincipled", None, Base_Color=colour, **wired)
    edge = graph.node("LayerWeight", None, 1, Blend=0.35)
    share = graph.ramp(edge, 0.0, 0.75)
    amount = graph.math("ADD", graph.math("MULTIPLY", share, 0.33), 0.66)
    return graph.close(graph.node("MixShader", None, _0=amount, _1=clear, _2=painted))


def flat_material(code: str, inputs: dict[str, float]) -> Any:
    """A material of one colour."""
    return Graph("flat").finish(linear(code), inputs)


def bare_material(material: str) -> Any:
    """The uncoloured material itself, as it shows in feet, handles and rims."""
    code, inputs = BARE[material]
    if material in ("oak", "walnut", "fabric"):
        graph = Graph("bare wood")
        dark = linear("#3A2416" if material == "walnut" else "#96693B")
        return graph.finish(graph.blend(grain(graph, 2), linear(code), dark), inputs)
    return flat_material(code, inputs)


def slot_material(slot: str, look: dict[str, Any]) -> Any:
    """The material of one slot of a product with this look."""
    if slot in ("body", "plain"):
        flat_grain = look["family"] in ("stool", "chair", "side_table", "clock", "bowl")
        return body_material(look, slot == "body", 0 if flat_grain else 2)
    if slot in ("trim", "leg"):
        return bare_material(look["material"])
    if slot == "accent":
        return flat_material(COLOURS[look["accent"]], {"Roughness": 0.45})
    if slot in ("face", "mark"):  # a white hand needs a dark dial
        slot = "dark" if (slot == "face") == (look["accent"] == "white") else "white"
    code, inputs = FIXED[slot]
    return flat_material(code, inputs)


# ---- surfaces and walls of customer photos ----------------------------------------------------------------------


def planks(graph: Graph, light: str, dark: str, width: float) -> Any:
    """Boards with grain and joints."""
    board = graph.node(
        "TexBrick",
        {"offset": 0.37},
        Vector=graph.coordinates((1, 1, 1)),
        Scale=1.0,
        Mortar_Size=0.006,
        Brick_Width=width * 7,
        Row_Height=width,
        Color1=linear(light),
        Color2=linear(light, 0.8),
        Mortar=linear(dark, 0.5),
    )
    return graph.blend(graph.math("MULTIPLY", grain(graph, 0), 0.6), board, linear(dark))


def surface_material(surface: str) -> Any:
    """The tabletop or floor of a customer photo; an unknown name lists the known ones."""
    if surface not in SURFACES:
        raise KeyError(f"surface {surface!r} came; one of {', '.join(SURFACES)} was expected. Correct shots.json.")
    return SURFACES[surface](Graph(surface))


def table_oak(graph: Graph) -> Any:
    return graph.finish(planks(graph, "#C4935C", "#8A5B32", 0.9), {"Roughness": 0.42})


def linen(graph: Graph) -> Any:
    vector = graph.coordinates((1, 1, 1))
    warp = graph.noise(graph.coordinates((1, 45, 1)), 4.0, 3.0)
    weft = graph.noise(graph.coordinates((45, 1, 1)), 4.0, 3.0)
    threads = graph.math("ADD", warp, weft)
    folds = graph.noise(vector, 1.6, 2.0, 0.6)
    tone = graph.blend(graph.ramp(threads, 0.7, 1.3), linear("#B9AC95"), linear("#E3D9C6"))
    return graph.finish_matt(tone, graph.bump(graph.math("ADD", threads, graph.math("MULTIPLY", folds, 6.0)), 0.5))


def marble(graph: Graph) -> Any:
    field = graph.noise(graph.coordinates((1, 1, 1)), 1.3, 9.0, 1.8)
    vein = graph.math("ABSOLUTE", graph.math("SUBTRACT", field, 0.5))
    tone = graph.blend(graph.ramp(vein, 0.0, 0.045), linear("#8F9296"), linear("#E4E3DF"))
    return graph.finish(tone, {"Roughness": 0.16})


def concrete(graph: Graph) -> Any:
    clouds = graph.noise(graph.coordinates((1, 1, 1)), 1.8, 10.0)
    tone = graph.blend(graph.ramp(clouds, 0.3, 0.7), linear("#77756F"), linear("#A9A7A1"))
    pores = graph.noise(graph.coordinates((1, 1, 1)), 60.0, 3.0)
    return graph.finish_matt(tone, graph.bump(pores, 0.3))


def grass(graph: Graph) -> Any:
    field = graph.noise(graph.coordinates((1, 1, 1)), 26.0, 5.0)
    return graph.finish_matt(graph.blend(graph.ramp(field, 0.35, 0.65), linear("#2F4A1C"), linear("#5E7F35")))


def blade(graph: Graph) -> Any:
    field = graph.noise(graph.coordinates((1, 1, 1)), 3.0, 3.0)
    return graph.finish_matt(graph.blend(graph.ramp(field, 0.3, 0.7), linear("#47702A"), linear("#8DAA4C")))


def shelf_white(graph: Graph) -> Any:
    return graph.finish(linear("#E6E5E1"), {"Roughness": 0.4})


def rug(graph: Graph) -> Any:
    split = graph.node("SeparateXYZ", None, Vector=graph.coordinates((1, 1, 1))).node
    wave = graph.math("SINE", graph.math("MULTIPLY", split.outputs[0], 5.0))
    zigzag = graph.math("ADD", split.outputs[1], graph.math("MULTIPLY", wave, 0.08))
    band = graph.math("LESS_THAN", graph.math("FRACT", graph.math("MULTIPLY", zigzag, 1.3)), 0.3)
    pile = graph.noise(graph.coordinates((1, 1, 1)), 70.0, 3.0)
    tone = graph.blend(band, linear("#C9BBA4"), linear("#80706A"))
    tone = graph.blend(graph.ramp(pile, 0.3, 0.75), graph.blend(0.5, tone, linear("#3A322C")), tone)
    return graph.finish_matt(tone, graph.bump(pile, 1.0, 0.05))


def kitchen_tile(graph: Graph) -> Any:
    tile = graph.node(
        "TexBrick",
        {"offset": 0.0},
        Vector=graph.coordinates((1, 1, 1)),
        Scale=1.0,
        Mortar_Size=0.018,
        Brick_Width=0.62,
        Row_Height=0.62,
        Color1=linear("#C9D3D1"),
        Color2=linear("#BCC9C8"),
        Mortar=linear("#8E8C86"),
    )
    return graph.finish(tile, {"Roughness": 0.14})


SURFACES = {
    "table_oak": table_oak,
    "linen": linen,
    "marble": marble,
    "concrete": concrete,
    "grass": grass,
    "shelf_white": shelf_white,
    "rug": rug,
    "kitchen_tile": kitchen_tile,
}


def wall_material(code: str) -> Any:
    """A plastered, painted wall."""
    graph = Graph("wall")
    plaster = graph.noise(graph.coordinates((1, 1, 1)), 7.0, 6.0)
    return graph.finish_matt(linear(code), graph.bump(plaster, 0.15))
