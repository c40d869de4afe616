package main

import (
	"github.com/chatmed/chatmed/api"
	"github.com/chatmed/chatmed/internal/clinical/chat/provider"
	"github.com/chatmed/chatmed/internal/config"
)

// chatModel is the endpoint that words the chat's answers, nil without one: then no
// text of a patient leaves the machine.
func chatModel(p config.Provider) api.ChatModel {
	if p.URL == "" {
		return nil
	}
	return provider.New(provider.Config{URL: p.URL, Key: string(p.Key), Model: p.Model})
}
