// Package xml embeds the metadata that describes the module's pages to the panel,
// and the texts in every language.
package xml

import "embed"

// Files are the metadata and message files.
//
//go:embed *.xml
var Files embed.FS
