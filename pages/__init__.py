"""What visitors see. The only package that imports Streamlit."""
