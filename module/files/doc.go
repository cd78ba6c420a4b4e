// Package files makes Exim and Dovecot follow the database: what a file is to
// hold is a pure function of the database (render), it is written beside its
// place (stage) and renamed into it once the change is committed (publish), and
// a comparison of everything puts right what went wrong or was changed by
// others (compare). It never sees the database.
//
// README.md beside this file names every file, its format and who reads it.
package files
