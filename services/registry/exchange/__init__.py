"""The registry as files, and back: CSV and XLSX, with Chinese headers."""
