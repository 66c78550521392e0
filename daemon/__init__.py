"""The camera process: frames in, hard-hat alerts out, the pictures worth a label kept."""
