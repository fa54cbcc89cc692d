"""EmojiScenes: a small multilingual image-text world that needs no download."""
