"""The colours of the book, each for light pages and for dark ones."""

# name -> (on a light page, on a dark page): at least 3:1 against #ffffff and #121212 for lines,
# 4.5:1 for text. Depth runs from strong to soft on both, so that early layers stand out.
COLOURS = {
    "ink": ("#1f2430", "#e8e8ea"),
    "muted": ("#5b6270", "#a6adba"),
    "axis": ("#8c93a1", "#7b8290"),
    "grid": ("#e3e6eb", "#33373f"),
    "surface": ("#ffffff", "#121212"),
    "boundary": ("#c9004f", "#ff6b98"),
    "kept": ("#1769aa", "#6db8ff"),
    "pruned": ("#b4540a", "#ffab5e"),
    "depth0": ("#320f71", "#e3dbff"),
    "depth1": ("#222981", "#c2d5ff"),
    "depth2": ("#003f8a", "#9ed0ff"),
    "depth3": ("#00538b", "#78cbfd"),
    "depth4": ("#006587", "#50c6e5"),
    "depth5": ("#00757f", "#25bfc7"),
    "depth6": ("#008273", "#00b6a5"),
    "depth7": ("#008d65", "#24ab7e"),
    "blue": ("#1769aa", "#6db8ff"),
    "vermilion": ("#c2410c", "#ff9457"),
    "green": ("#00795c", "#3ecfa4"),
    "purple": ("#8a3f9e", "#d39be6"),
    "grey": ("#6b7280", "#a8b0bd"),
    "ochre": ("#8a6a00", "#e3c14d"),
    "cyan": ("#0f7f8f", "#58d1e3"),
    "indigo": ("#4b4fc4", "#a5a8ff"),
    "olive": ("#55700a", "#b3cf5a"),
    "brown": ("#7c4a21", "#d9a67a"),
    "pink": ("#b0307f", "#ff8fcf"),
    "crimson": ("#a3172f", "#ff8a94"),
}
_SENTINELS = {name: f"#51c0{i:02x}" for i, name in enumerate(COLOURS)}
_DEPTHS = 8
# What has a colour of its own wherever it appears: (colour, marker). Other names take those of
# the criteria in turn.
_CRITERIA = {
    "spline": ("blue", "o"),
    "bend": ("crimson", "H"),
    "spline + compensation": ("vermilion", "s"),
    "magnitude": ("green", "^"),
    "bn": ("purple", "D"),
    "random": ("grey", "x"),
    "fpgm": ("ochre", "v"),
    "lsq": ("cyan", "P"),
    "codes": ("indigo", "X"),
    "l2": ("olive", "<"),
    "thinet": ("brown", "*"),
    "snip": ("pink", ">"),
}
_OTHERS = {  # rivals of tickets drawn early, and how far a run has still to go
    "dense": ("ink", "o"),
    "lottery": ("brown", "p"),
    "narrow": ("olive", "h"),
    "place": ("vermilion", "s"),
}


class Palette:
    """The colours that a drawing may use; each follows the theme of the page.

    Attributes
    ----------
    ink, muted, axis, grid, surface : str
        Text and strong lines, quiet text, axes, grid lines, the page itself.
    boundary, kept, pruned : str
        The decision boundary; what stays in a network; what leaves it.
    """

    ink, muted, axis, grid, surface, boundary, kept, pruned = (
        _SENTINELS[name]
        for name in ("ink", "muted", "axis", "grid", "surface", "boundary", "kept", "pruned")
    )

    @staticmethod
    def depth(layer: int, layers: int) -> str:
        """Colour of one layer out of `layers`, the first being 0: the strongest comes first."""
        step = round(layer * (_DEPTHS - 1) / max(layers - 1, 1))
        return _SENTINELS[f"depth{step}"]

    @staticmethod
    def series(name: str, position: int = 0) -> str:
        """Colour of a criterion or method; unknown names take the next by `position`."""
        return series_style(name, position)[0]

    @staticmethod
    def solid(colour: str) -> str:
        """A fixed colour that reads on light and dark alike, for what is drawn as pixels."""
        light, dark = COLOURS[colour_name(colour)]
        return "#" + "".join(
            f"{(int(light[i : i + 2], 16) + int(dark[i : i + 2], 16)) // 2:02x}" for i in (1, 3, 5)
        )


PALETTE = Palette()


def colour_name(sentinel: str) -> str:
    """What a colour that drawings use is called in `COLOURS`, and in the scripts."""
    return list(COLOURS)[int(sentinel[-2:], 16)]


def series_style(name: str, position: int = 0) -> tuple[str, str]:
    """Colour and marker of a criterion or method, the same wherever it appears.

    What stands in brackets behind a name, as in "lottery (spline)", does not change them.
    """
    in_turn = list(_CRITERIA.values())[position % len(_CRITERIA)]
    colour, marker = (_CRITERIA | _OTHERS).get(name.partition(" (")[0], in_turn)
    return _SENTINELS[colour], marker


def css_variable(sentinel: str) -> str:
    """The CSS custom property of a sentinel, with the light colour to fall back on."""
    name = colour_name(sentinel)
    return f"var(--sl-{name},{COLOURS[name][0]})"
