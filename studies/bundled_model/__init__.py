"""The recipe of `bundled:tatoeba-en-de`: English speech to German text, from Tatoeba sentences and synthetic voices."""
