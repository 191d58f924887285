"""The values of a message's headers, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

SHORT = st.text(max_size=60)
"""The name of a header, or any other short string of AMQP."""

SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
"""Values that hold no others, of the types that all of Python and AMQP have."""
