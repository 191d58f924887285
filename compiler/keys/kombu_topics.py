"""Topic patterns as kombu matches them, where it plays the broker: on Redis and in memory.

kombu makes a regular expression of a binding key, in which `#` is any text between two dots. So it
takes at least one word, unless it is the whole key; RabbitMQ's takes none as well. (Neither does
kombu's `*` take an empty word. Nobody has been seen to rely on that.)
"""

from __future__ import annotations

from routewright.compiler.keys.patterns import Part, Pattern, Wild, topic, words


def kombu_topic(binding_key: str) -> Pattern:
    """The pattern of RabbitMQ's that matches what kombu matches, of keys without empty words."""
    if binding_key == Wild.MANY.value:
        return topic(binding_key)
    parts: list[Part] = []
    for word in words(binding_key):
        parts += (Wild.ONE, Wild.MANY) if word == Wild.MANY.value else topic(word)
    return tuple(parts)
