// Screen readers pronounce the page in the language that its first element names.
export default function ({ data }) {
  document.documentElement.lang = data.language;
}
