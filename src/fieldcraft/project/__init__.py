"""The project: its file, its folder, and the settings that both hold."""
