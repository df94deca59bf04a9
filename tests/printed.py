"""What stands on the pages of a PDF that Chromium made."""

import re
import zlib

_OBJECT = re.compile(rb"(?m)^(\d+) 0 obj\s(.*?)\sendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
_REFERENCE = rb"/%s (\d+) 0 R"
# A font is chosen, or glyphs are shown: their numbers as hexadecimal digits or as characters.
_SHOWN = re.compile(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)> Tj|\[(.*?)\] TJ", re.DOTALL)


def texts(pdf: bytes) -> list[str]:
    """The text of each page, without its spaces, whose place a PDF does not say."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    pages = [body for body in objects.values() if re.search(rb"/Type /Page\b", body)]
    return ["".join(_text(page, objects).split()) for page in pages]


def _content(body: bytes) -> bytes:
    stream = _STREAM.search(body)[1]
    return zlib.decompress(stream) if b"/FlateDecode" in body else stream


def _text(page: bytes, objects: dict[int, bytes]) -> str:
    fonts = {
        name.decode(): _letters(objects[int(number)], objects)
        for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", page)
    }
    number = int(re.search(_REFERENCE % b"Contents", page)[1])
    letters, text = {}, ""
    for font, word, words in _SHOWN.findall(_content(objects[number])):
        if font:
            letters = fonts.get(font.decode(), {})
        for digits in [word, *re.findall(rb"<([0-9A-Fa-f]+)>", words)]:
            glyphs = [int(digits[at : at + 4], 16) for at in range(0, len(digits), 4)]
            text += "".join(letters.get(glyph, "") for glyph in glyphs)
    return text


def _letters(font: bytes, objects: dict[int, bytes]) -> dict[int, str]:
    """Number of a glyph -> its letters."""
    found = re.search(_REFERENCE % b"ToUnicode", font)
    if not found:
        return {}
    table, letters = _content(objects[int(found[1])]).decode("latin1"), {}
    for block in re.findall(r"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for glyph, letter in re.findall(r"<(\w+)>\s*<(\w+)>", block):
            letters[int(glyph, 16)] = bytes.fromhex(letter).decode("utf-16-be")
    for block in re.findall(r"beginbfrange(.*?)endbfrange", table, re.DOTALL):
        for first, last, letter in re.findall(r"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            for step in range(int(last, 16) - int(first, 16) + 1):
                letters[int(first, 16) + step] = chr(int(letter, 16) + step)
    return letters
