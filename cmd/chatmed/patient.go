package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/config"
	"github.com/chatmed/chatmed/internal/consult"
)

// patientFlags say whose data a patient command is about.
type patientFlags struct {
	account, mode, id, out string
	yes                    bool
}

// patient exports or erases what is stored of one patient.
func patient(ctx context.Context, args []string, out io.Writer) error {
	const usage = "patient export --account A --mode live --patient ID --out FILE, or patient erase --account A --mode live --patient ID --yes"
	if len(args) == 0 {
		return errors.New("patient needs a command: " + usage)
	}
	var own patientFlags
	fs := flag.NewFlagSet("chatmed patient "+args[0], flag.ContinueOnError)
	config.Flags(fs)
	fs.StringVar(&own.account, "account", "", "id or name of the account")
	fs.StringVar(&own.mode, "mode", string(consult.Live), "live or test")
	fs.StringVar(&own.id, "patient", "", "the account's id of the patient")
	var do func(*operator) error
	switch args[0] {
	case "export":
		fs.StringVar(&own.out, "out", "", "new file to write")
		do = func(o *operator) error { return o.exportPatient(ctx, own, out) }
	case "erase":
		fs.BoolVar(&own.yes, "yes", false, "erase: there is no way back")
		do = func(o *operator) error { return o.erasePatient(ctx, own, out) }
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("unknown command patient %s: %s", args[0], usage)
	}
	if err := config.ParseFlags(fs, args[1:]); err != nil {
		return err
	}
	switch {
	case own.id == "":
		return errors.New("say which patient: --patient ID")
	case args[0] == "export" && own.out == "":
		return errors.New("patient export needs --out FILE, a file that does not exist yet")
	case args[0] == "erase" && !own.yes:
		return errors.New("patient erase cannot be undone: repeat it with --yes")
	}
	cfg, err := config.Load(fs, os.Environ())
	if err != nil {
		return err
	}
	return withOperator(ctx, cfg, do)
}

func (o *operator) exportPatient(ctx context.Context, f patientFlags, out io.Writer) (err error) {
	sc, err := o.scope(ctx, f.account, f.mode)
	if err != nil {
		return err
	}
	export, err := o.store.ExportPatient(ctx, sc, f.id)
	if err != nil {
		return plainError(err)
	}
	file, err := os.OpenFile(f.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	e := json.NewEncoder(file)
	e.SetIndent("", "  ")
	if err := e.Encode(export); err != nil {
		return err
	}
	rows := 0
	for _, t := range export.Tables {
		rows += len(t)
	}
	_, err = fmt.Fprintf(out, "%d rows of %d tables are in %s.\n", rows, len(export.Tables), f.out)
	return err
}

// erasePatient prints the proof, as JSON.
func (o *operator) erasePatient(ctx context.Context, f patientFlags, out io.Writer) error {
	sc, err := o.scope(ctx, f.account, f.mode)
	if err != nil {
		return err
	}
	proof, err := o.store.ErasePatient(ctx, sc, f.id, auth.Operator)
	if err != nil {
		return plainError(err)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(proof)
}
