"""Tests of kdegrad; the modules say what each pins down."""
