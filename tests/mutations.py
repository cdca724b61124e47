"""Files that were damaged in every way, for hypothesis."""

from hypothesis import strategies as st


@st.composite
def mutated(draw, data):
    """Bytes with some of them changed, cut out or repeated."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 8))
        data[start:end] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[start:end] * 2))))
    return bytes(data)


def read_or_refuse(read, path):
    """What ``read`` makes of a file, or None where it raises a ValueError that names it."""
    try:
        return read(path)
    except ValueError as error:
        message = str(error)
    assert str(path) in message
    return None
